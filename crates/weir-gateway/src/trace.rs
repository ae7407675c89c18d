//! W3C trace context: what comes with a call, and what goes along with its attempts.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_ledger::CallId;

/// The trace that a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id; never 0.
    pub id: u128,
    /// The span of whoever called; `None` where the trace begins here.
    pub parent: Option<u64>,
    /// The call's own span; never 0.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
    /// The caller's `tracestate`, passed on as it is.
    pub state: Option<Arc<str>>,
}

impl Trace {
    /// Begins a trace of a call: its ids are made of the call's, of which each is another.
    pub fn begin(call: CallId) -> Trace {
        let id = call.as_u128();
        Trace { id: id.max(1), parent: None, span: span_of(id, 0), sampled: true, state: None }
    }

    /// Goes on with the trace of `traceparent`; `None` where that is not well-formed.
    pub fn join(call: CallId, traceparent: &str) -> Option<Trace> {
        let mut parts = traceparent.trim().split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Version 00 has these four; later ones may have more behind them.
        if version.len() != 2 || version == "ff" || version == "00" && parts.next().is_some() {
            return None;
        }
        let hex = |text: &str, digits: usize| {
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (text.len() == digits && text.bytes().all(lower)).then_some(())
        };
        hex(version, 2).and(hex(id, 32)).and(hex(parent, 16)).and(hex(flags, 2))?;
        let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let parent = u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        let span = span_of(call.as_u128(), 0);
        Some(Trace { id, parent: Some(parent), span, sampled, state: None })
    }

    /// The span of the call's attempt or step `n`, from 1.
    pub fn child(&self, n: u16) -> u64 {
        span_of(u128::from(self.span), n)
    }

    /// Writes it into the headers of attempt `n`.
    pub(crate) fn put(&self, n: u16, headers: &mut HeaderMap) {
        let parent = HeaderValue::try_from(self.parent_of(n)).expect("hex digits and dashes");
        headers.insert(HeaderName::from_static("traceparent"), parent);
        if let Some(Ok(state)) = self.state.as_deref().map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static("tracestate"), state);
        }
    }

    /// The `traceparent` that goes along with attempt `n`.
    pub fn parent_of(&self, n: u16) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, self.child(n), u8::from(self.sampled))
    }
}

/// A span's id: another one for each `n`, and never 0.
fn span_of(id: u128, n: u16) -> u64 {
    // The last steps of splitmix64: each bit of the result depends on each of the number.
    let mut mixed = (id as u64) ^ (id >> 64) as u64 ^ u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_is_well_formed_and_nothing_else() {
        let call = CallId::at(1, &[7; 10]);
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::join(call, given).unwrap();
        assert_eq!(format!("{:x}", trace.id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((trace.parent, trace.sampled), (Some(0x00f0_67aa_0ba9_02b7), true));
        assert!(!Trace::join(call, &given.replace("-01", "-00")).unwrap().sampled);
        assert!(Trace::join(call, &given.replacen("00", "cc", 1)).is_some(), "a later version");
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        ] {
            assert_eq!(Trace::join(call, bad), None, "{bad}");
        }
    }

    #[test]
    fn what_goes_along_names_the_same_trace_and_a_span_of_its_own() {
        let call = CallId::at(1, &[7; 10]);
        let trace = Trace::begin(call);
        let (first, second) = (trace.parent_of(1), trace.parent_of(2));
        let read = Trace::join(call, &first).unwrap();
        assert_eq!((read.id, read.parent, read.sampled), (trace.id, Some(trace.child(1)), true));
        assert!(first != second && trace.child(1) != trace.span);
        assert_ne!(Trace::begin(CallId::at(1, &[8; 10])).span, trace.span);
    }
}
