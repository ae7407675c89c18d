//! The committed corpus, through every target: what a fuzzer once found stays mended, whatever is changed.

use std::path::Path;

#[test]
fn nothing_in_the_corpus_does_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in weir_fuzz::TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(folder.join(name)).expect(name) {
            let path = entry.expect(name).path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect(name));
            inputs += 1;
        }
        assert!(inputs > 10, "{name} has a corpus of {inputs} inputs");
        target(b"");
    }
}
