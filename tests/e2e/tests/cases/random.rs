//! Random inputs that a seed repeats.

/// Numbers that are the same for the same seed.
pub struct Random(u64);

impl Random {
    /// From the environment's `SEED`, which is printed so that a run can be repeated.
    pub fn seeded() -> Random {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026_1122);
        println!("SEED={seed}");
        Random(seed)
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    pub fn chance(&mut self, in_hundred: usize) -> bool {
        self.below(100) < in_hundred
    }

    /// Words in many scripts, with escapes, emoji and white space.
    pub fn text(&mut self) -> String {
        let words = [
            "river",
            "naïve",
            "雨が降る",
            "вода",
            "نهر",
            "नदी",
            "🚣🏽‍♀️",
            "\"quoted\"",
            "a\\b",
            "\n\t",
            "ﷺ",
            "x",
            "ทดสอบ",
            "שלום",
            "0123456789",
            "{\"json\": [1, 2]}",
            "    ",
            "\u{1}",
            "한국어",
            "ffi",
            "supercalifragilistic",
        ];
        (0..1 + self.below(30)).map(|_| self.one(&words)).collect::<Vec<_>>().join(self.one(&[" ", "", "\n"]))
    }
}
