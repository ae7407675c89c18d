//! Credentials that no file of weir's has: found by a cloud's own chain, renewed ahead of their end.
//!
//! Each module finds a credential once: `aws`, `google`, `entra`. `renewal` keeps it, whoever found it. What they see of the
//! world (files, variables, commands, HTTP) is `world`, so that tests can bring another one.

mod aws;
mod entra;
mod google;
mod renewal;
#[cfg(test)]
mod testing;
mod world;

use std::sync::Arc;

use weir_adapter::Descriptor;
use weir_adapter::descriptor::ChainKind;
use weir_config::{Environment, Provider};
use weir_gateway::credentials::{Chain, Chains};

use renewal::Renewal;

/// The chains of this process.
pub struct Identities {
    environment: Arc<Environment>,
}

impl Identities {
    /// With these variables, of which each cloud has its own.
    pub fn new(environment: Environment) -> Identities {
        Identities { environment: Arc::new(environment) }
    }
}

impl Chains for Identities {
    fn open(&self, descriptor: &Descriptor, entry: &Provider) -> Result<Arc<dyn Chain>, String> {
        let kind = descriptor.chain.ok_or("has no chain of credentials: set an `api_key`")?;
        let written = entry.credentials.clone().unwrap_or_default();
        let takes = match kind {
            ChainKind::Aws => aws::MEMBERS,
            ChainKind::Google => google::MEMBERS,
            ChainKind::Entra => entra::MEMBERS,
        };
        if let Some(other) = written.written().find(|name| !takes.contains(name)) {
            let list: Vec<String> = takes.iter().map(|name| format!("`{name}`")).collect();
            return Err(format!("does not take `{other}`; it takes {}", list.join(", ")));
        }
        let proxy = entry.proxy.as_ref().map(|proxy| proxy.expose());
        let world = world::of_the_process(self.environment.clone(), proxy).map_err(|why| why.to_string())?;
        let resolve = match kind {
            ChainKind::Aws => {
                let region = descriptor.region.clone().ok_or("signs for a region: set `region`")?;
                let bearer = descriptor.environment.clone();
                aws::chain(world, written, region, bearer)?
            }
            ChainKind::Google => google::chain(world, written),
            ChainKind::Entra => entra::chain(world, written)?,
        };
        Ok(Renewal::open(entry.kind.as_deref().unwrap_or(&descriptor.name), resolve))
    }
}
