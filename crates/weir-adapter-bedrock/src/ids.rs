//! Ids of tool calls: Bedrock takes 64 letters, digits and `_.:-`, some of its models only nine letters and digits.

use std::borrow::Cow;

use weir_adapter::descriptor::ToolIds;
use weir_adapter::ids::digest;

/// The longest id that Bedrock takes.
const LONGEST: usize = 64;

/// The id as the model takes it. The same id becomes the same one in each turn, so calls and results stay together.
pub(crate) fn write(id: &str, rule: ToolIds) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    let fits = match rule {
        ToolIds::Any => !id.is_empty() && id.len() <= LONGEST && id.bytes().all(plain),
        ToolIds::Nine => id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    };
    match rule {
        _ if fits => Cow::Borrowed(id),
        ToolIds::Any => Cow::Owned(format!("call_{}", digest(id.as_bytes()))),
        ToolIds::Nine => Cow::Owned(digest(id.as_bytes())[..9].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_fit_stay_and_others_are_alike_each_time() {
        for (id, rule, stays) in [
            ("tooluse_Z4oIdWzp6MUkuN99WX3jLk", ToolIds::Any, true),
            ("functions.get_temperature:0", ToolIds::Any, true),
            ("a b", ToolIds::Any, false),
            ("", ToolIds::Any, false),
            (&"x".repeat(65), ToolIds::Any, false),
            ("abcDEF123", ToolIds::Nine, true),
            ("tooluse_1", ToolIds::Nine, false),
        ] {
            let written = write(id, rule);
            assert_eq!(written == id, stays, "{id} {written}");
            assert_eq!(written, write(id, rule));
            assert_eq!(write(&written, rule), written, "{id}");
        }
        assert_eq!(write("tooluse_1", ToolIds::Nine).len(), 9);
    }
}
