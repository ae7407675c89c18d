//! Rates as written, and the same resolved: what each (class, unit) costs.

use weir_wire::usage::{Class, TOKEN_CLASSES, Unit};

/// Rates as written, in picodollars for one unit; `None` where nothing is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Written {
    pub(crate) input: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) cache_read: Option<u64>,
    pub(crate) cache_write_5m: Option<u64>,
    pub(crate) cache_write_1h: Option<u64>,
    pub(crate) audio_in: Option<u64>,
    pub(crate) audio_out: Option<u64>,
    pub(crate) image_in: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) request: Option<u64>,
    pub(crate) image: Option<u64>,
    pub(crate) millisecond: Option<u64>,
    pub(crate) page: Option<u64>,
    pub(crate) search: Option<u64>,
    pub(crate) character: Option<u64>,
}

impl Written {
    /// Everything free.
    pub(crate) const FREE: Written = Written {
        input: Some(0),
        output: Some(0),
        cache_read: None,
        cache_write_5m: None,
        cache_write_1h: None,
        audio_in: None,
        audio_out: None,
        image_in: None,
        reasoning: None,
        request: Some(0),
        image: Some(0),
        millisecond: Some(0),
        page: Some(0),
        search: Some(0),
        character: Some(0),
    };

    /// Whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Written::default()
    }

    /// These rates, with those not written taken from `below`.
    pub(crate) fn over(&self, below: &Written) -> Written {
        Written {
            input: self.input.or(below.input),
            output: self.output.or(below.output),
            cache_read: self.cache_read.or(below.cache_read),
            cache_write_5m: self.cache_write_5m.or(below.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(below.cache_write_1h),
            audio_in: self.audio_in.or(below.audio_in),
            audio_out: self.audio_out.or(below.audio_out),
            image_in: self.image_in.or(below.image_in),
            reasoning: self.reasoning.or(below.reasoning),
            request: self.request.or(below.request),
            image: self.image.or(below.image),
            millisecond: self.millisecond.or(below.millisecond),
            page: self.page.or(below.page),
            search: self.search.or(below.search),
            character: self.character.or(below.character),
        }
    }

    /// With the fallbacks of INTERFACE.md: cache, audio and image input cost as `input`, reasoning and audio output
    /// as `output`.
    pub(crate) fn resolve(&self) -> Rates {
        let mut tokens = [None; TOKEN_CLASSES.len()];
        for class in TOKEN_CLASSES {
            let base = if class.is_input() { self.input } else { self.output };
            tokens[class as usize] = self.token(class).or(base);
        }
        Rates { tokens, written: *self }
    }

    /// Every rate by the name of its field, in a fixed order: a price's id depends on it.
    pub(crate) fn named(&self) -> [(&'static str, Option<u64>); 15] {
        [
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
            ("audio_in", self.audio_in),
            ("audio_out", self.audio_out),
            ("image_in", self.image_in),
            ("reasoning", self.reasoning),
            ("per_request", self.request),
            ("per_image", self.image),
            ("per_second", self.millisecond),
            ("per_page", self.page),
            ("per_search", self.search),
            ("per_million_characters", self.character),
        ]
    }

    fn token(&self, class: Class) -> Option<u64> {
        match class {
            Class::Input => self.input,
            Class::CacheRead => self.cache_read,
            Class::CacheWrite5m => self.cache_write_5m,
            Class::CacheWrite1h => self.cache_write_1h,
            Class::AudioIn => self.audio_in,
            Class::ImageIn => self.image_in,
            Class::Output => self.output,
            Class::Reasoning => self.reasoning,
            Class::AudioOut => self.audio_out,
            _ => None,
        }
    }
}

/// Resolved rates. Two table look-ups a class; no maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    tokens: [Option<u64>; TOKEN_CLASSES.len()],
    written: Written,
}

impl Rates {
    /// Picodollars for one of `class` in `unit`; `None` where the price is unknown. A call without a price per
    /// request costs nothing for being one.
    pub(crate) fn of(&self, class: Class, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Token => self.tokens.get(class as usize).copied().flatten(),
            Unit::Request => Some(self.written.request.unwrap_or(0)),
            Unit::Image => self.written.image,
            Unit::Page => self.written.page,
            Unit::Search => self.written.search,
            Unit::Character => self.written.character,
            Unit::Millisecond => self.written.millisecond,
        }
    }

    /// The rates as written, for display.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_classes_cost_as_their_side() {
        let rates =
            Written { input: Some(3), output: Some(15), cache_read: Some(1), ..Written::default() }.resolve();
        let of = |class| rates.of(class, Unit::Token);
        assert_eq!(
            [Class::Input, Class::CacheRead, Class::CacheWrite5m, Class::CacheWrite1h].map(of),
            [Some(3), Some(1), Some(3), Some(3)]
        );
        assert_eq!(
            [Class::AudioIn, Class::ImageIn, Class::Output, Class::Reasoning].map(of),
            [Some(3), Some(3), Some(15), Some(15)]
        );
        assert_eq!(of(Class::AudioOut), Some(15));
    }

    #[test]
    fn nothing_written_is_unknown_but_for_the_request() {
        let rates = Written::default().resolve();
        assert!(TOKEN_CLASSES.iter().all(|class| rates.of(*class, Unit::Token).is_none()));
        for unit in [Unit::Image, Unit::Page, Unit::Search, Unit::Character, Unit::Millisecond] {
            assert_eq!(rates.of(Class::Image, unit), None, "{unit:?}");
        }
        assert_eq!(rates.of(Class::Request, Unit::Request), Some(0));
    }

    #[test]
    fn a_class_in_no_token_slot_has_no_token_price() {
        assert_eq!(Written::FREE.resolve().of(Class::Image, Unit::Token), None);
    }
}
