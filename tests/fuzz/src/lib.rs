//! What must hold for whatever bytes come from clients and providers: nothing panics or hangs, what is sent is JSON, and
//! a stream says the same however it is cut.
//!
//! Each target takes any bytes. `tests/corpus.rs` runs the committed corpus through all of them, with every test run; the
//! package in `libfuzzer` has a program for each, which looks for further inputs (`tests/long/run fuzz`).

mod decoders;
mod dialects;
mod frames;
mod fronts;

/// Panics where something does not hold.
pub type Target = fn(&[u8]);

/// All targets, by the name of their corpus's folder.
pub const TARGETS: &[(&str, Target)] = &[
    ("frames", frames::frames),
    ("splices", frames::splices),
    ("front_openai", fronts::openai),
    ("front_responses", fronts::responses),
    ("front_anthropic", fronts::anthropic),
    ("front_gemini", fronts::gemini),
    ("decoder_openai", decoders::openai),
    ("decoder_anthropic", decoders::anthropic),
    ("decoder_gemini", decoders::gemini),
    ("decoder_cohere", decoders::cohere),
    ("decoder_ollama", decoders::ollama),
    ("decoder_bedrock", decoders::bedrock),
];

/// Runs the target of that name.
///
/// # Panics
/// Without such a target, and where something does not hold.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(input);
}
