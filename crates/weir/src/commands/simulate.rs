//! `weir simulate`: a provider simulator that speaks its real wire format.

use weir_sim::{Provider, Script, Sim, SimConfig};

use super::{CommandError, Output, SimulateArgs};

/// Runs the simulator until it is interrupted.
///
/// # Errors
/// A provider that is not simulated, a script that does not read, an address that is taken.
pub async fn run(args: &SimulateArgs, output: &mut Output<'_>) -> Result<(), CommandError> {
    let provider = Provider::from_name(&args.provider).ok_or_else(|| {
        CommandError::Usage(format!(
            "`{}` is not simulated; there are openai, anthropic, gemini and all",
            args.provider
        ))
    })?;
    let mut config = SimConfig { provider, listen: args.listen.0, ..SimConfig::default() };
    if let Some(file) = &args.script {
        let failed =
            |error: &dyn std::fmt::Display| CommandError::Failed(format!("{}: {error}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
        config.script = serde_json::from_str::<Script>(&text).map_err(|error| failed(&error))?;
    }
    let sim = Sim::start(config).await.map_err(|error| CommandError::Failed(error.to_string()))?;
    output.text(&format!(
        "{} is simulated at {}; any key is taken. Interrupt to end.\n",
        args.provider,
        sim.url()
    ))?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
