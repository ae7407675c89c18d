//! The committed corpus, through every target: what a fuzzer once found stays mended, whatever is changed.

use std::path::Path;

/// The inputs of a packed corpus: each behind its length, four bytes, the least first.
fn inputs(mut packed: &[u8]) -> Vec<&[u8]> {
    let mut inputs = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let (input, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        inputs.push(input);
        packed = rest;
    }
    inputs
}

#[test]
fn nothing_in_the_corpus_does_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in weir_fuzz::TARGETS {
        let packed = std::fs::read(folder.join(format!("{name}.pack"))).expect(name);
        let inputs = inputs(&packed);
        assert!(inputs.len() > 10, "{name} has a corpus of {} inputs", inputs.len());
        for (number, input) in inputs.iter().enumerate() {
            println!("{name} {number}: {}", String::from_utf8_lossy(input));
            target(input);
        }
        target(b"");
    }
}
