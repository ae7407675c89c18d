//! The shape of a message: the words that errors are made of, and a mark for everything else.

use std::collections::HashSet;
use std::sync::OnceLock;

/// The longest shape, in characters.
const LONGEST: usize = 200;
/// What stands for anything that is not a word of errors.
const ELSE: &str = "…";

/// The words that a shape may hold. Whatever a provider repeats of a prompt or a key is not among them, or tells nothing.
const WORDS: &str = "
a above access account active add admin after again all allowed already an and another answer answered any api
argument arguments as ask at attempt attempts auth authentication authorization available away back bad balance be been
before began begun below billing body both break broke broken budget bucket busy but by bytes call calls can cancelled
cannot capacity card change characters check choose client close closed code column come completion complete concurrency concurrent
config configured connect connection consumed contact contain contains content context could count credential credentials credit credits
current currently day days deadline decode default deleted deny denied deployment deprecated detail details did different disabled dns do does
doesn't down due during each else empty enabled encode end ended endpoint engine enough error errors exceed exceeded exceeds exist
exists expected expired extra fail failed failing failure failures false few field file filter first flagged for forbidden format found from
full function gateway generate generation get go got had handshake has have help higher host hour hours however http
id if image images in inactive incomplete incorrect input insufficient integer internal invalid is issue it its json key keys known
large larger last later least left length less let limit limited limits line list load long longer look lower made make malformed many
match maximum max may mean message messages method middle minimum minute minutes missing model models month more most must name names near nearest
need needed needs network never new no none not nothing null number object of off offset ok on once one only open operation option or
organization other out output over overloaded own page param parameter parameters parse path payload pending per permission
permissions place plan please point policy position prefix price proxy problem project prompt property provide provided provider providers quota
range rate reach reached read ready reason received reduce refused region reject rejected remaining remove replace request requests
require required requires reset resolve resource response responses restricted result retry returned role room route safety same schema
second seconds see send sending sent server service session set should shut shutting size slow small some soon started state status
stop stopped stream string structured subscription such support supported supports switch system take takes target targets
team temporarily temporary than that the their them then there these they this those through time timed timeout times
tls to token tokens too tool tools total traffic transport tried true try trying turn two type unable unauthorized unavailable
unexpected unknown unprocessable unreachable unsupported until up upgrade upstream usage use used user users valid value values version wait
was way we were what when where which while who whole will window with within without write wrong yet you your
";

fn words() -> &'static HashSet<&'static str> {
    static SET: OnceLock<HashSet<&'static str>> = OnceLock::new();
    SET.get_or_init(|| WORDS.split_whitespace().collect())
}

/// The shape of a message. What stands in quotes, numbers, names and all words that errors are not made of become `…`,
/// so that messages of one cause have one shape, and none holds what a client or a provider wrote.
pub fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len().min(LONGEST));
    let mut rest = message;
    while shape.chars().count() < LONGEST {
        let trimmed = rest.trim_start();
        let Some(first) = trimmed.chars().next() else { break };
        let in_quotes = ['"', '`', '\'', '“', '‘'].contains(&first);
        let word = match in_quotes {
            true => quoted(trimmed, first),
            false => trimmed.split(char::is_whitespace).next().unwrap_or_default(),
        };
        rest = &trimmed[word.len()..];
        let bare = word.trim_matches(|char: char| !char.is_alphanumeric()).to_lowercase();
        let plain = !in_quotes && words().contains(bare.as_str());
        let next = if plain { bare.as_str() } else { ELSE };
        if next == ELSE && shape.ends_with(ELSE) {
            continue;
        }
        if !shape.is_empty() {
            shape.push(' ');
        }
        shape.push_str(next);
    }
    shape
}

/// From a quotation mark to its end, or the word where it has none.
fn quoted(text: &str, mark: char) -> &str {
    let closing = match mark {
        '“' => '”',
        '‘' => '’',
        same => same,
    };
    let inside = &text[mark.len_utf8()..];
    match inside.find(closing) {
        Some(at) => &text[..mark.len_utf8() + at + closing.len_utf8()],
        None => text.split(char::is_whitespace).next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_has_one_shape() {
        for (message, want) in [
            (
                "Rate limit reached for gpt-4o in organization org-abc on tokens per min (TPM): Limit 30000, Used 29999",
                "rate limit reached for … in organization … on tokens per … limit … used …",
            ),
            (
                "Incorrect API key provided: sk-CANARY1234. You can find your API key at https://example.com/keys.",
                "incorrect api key provided … you can … your api key at …",
            ),
            ("the model `my secret model` does not exist", "the model … does not exist"),
            (
                "Invalid value: 'tell me how the key is made'. Supported values are: 'a', 'b'",
                "invalid value … supported values …",
            ),
            ("", ""),
            ("…", "…"),
            ("\"unclosed words of a prompt", "…  of a prompt"),
        ] {
            assert_eq!(shape(message), want.replace("  ", " "), "{message}");
        }
    }

    #[test]
    fn no_shape_is_long_or_holds_anything_strange() {
        let strange =
            "Zürich 192.0.2.1 alice@example.com 0xdeadbeef \u{202e} <script>alert(1)</script> ".repeat(50);
        assert_eq!(shape(&strange), ELSE);
        let long = "the request is too long ".repeat(100);
        assert!(shape(&long).chars().count() <= LONGEST + 20);
        for word in shape("Bearer sk-live-abcdef the is Ignore previous instructions").split(' ') {
            assert!(word == ELSE || words().contains(word), "{word}");
        }
    }
}
