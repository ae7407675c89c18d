//! What becomes of one frame: looked at and passed on, or translated and written anew.

use bytes::{Bytes, BytesMut};
use weir_adapter::{Decoder, Encoder, ProviderError, Reader};
use weir_wire::framing::{Verdict, sse};
use weir_wire::openai;

use crate::cache::tap::Tap;
use crate::dispatch::account::Account;
use crate::dispatch::content;

/// Glances at one frame of the client's own dialect.
pub(super) fn native(
    reader: &mut dyn Reader,
    account: &mut Account,
    frame: &Bytes,
    semantic: &mut bool,
    tap: Option<&Tap>,
) -> Result<Verdict, ProviderError> {
    let glance = reader.frame(frame)?;
    account.saw(glance.output_bytes);
    if glance.usage_only || glance.usage_end.is_some() {
        account.served_in(reader.tier());
    }
    if glance.semantic && !*semantic {
        *semantic = true;
        account.first_content();
    }
    if let Some(tap) = tap.filter(|_| glance.usage_only && !account.include_usage)
        && let Some(data) = sse::data(frame)
    {
        tap.withhold(&data);
    }
    if glance.withhold || glance.usage_only && !account.include_usage {
        return Ok(Verdict::Drop);
    }
    Ok(
        match glance
            .usage_end
            .zip(reader.usage())
            .and_then(|(end, usage)| account.with_cost(frame, end, usage))
        {
            Some(bytes) => Verdict::Replace(bytes),
            None => Verdict::Keep,
        },
    )
}

/// Writes translated chunks in the client's dialect.
pub(super) fn foreign(
    chunks: Vec<openai::Chunk>,
    decoder: &dyn Decoder,
    encoder: &mut dyn Encoder,
    account: &mut Account,
    semantic: &mut bool,
    tap: Option<&Tap>,
) -> Bytes {
    let mut out = BytesMut::new();
    for mut chunk in chunks {
        content::date_chunk(&mut chunk, account.called_at);
        account.saw(content::bytes_of(&chunk));
        if !*semantic && content::is_semantic(&chunk) {
            *semantic = true;
            account.first_content();
        }
        if let Some(usage) = decoder.usage() {
            account.put_cost(&mut chunk, usage);
        }
        if let Some(tap) = tap.filter(|_| !account.include_usage) {
            withhold(tap, &chunk);
        }
        encoder.chunk(chunk, &mut out);
    }
    out.freeze()
}

/// Usage that this client did not ask for: one that is served the stored answer may.
fn withhold(tap: &Tap, chunk: &openai::Chunk) {
    let usage = match chunk {
        openai::Chunk::Chat(chunk) if chunk.usage.is_some() => {
            openai::Chunk::Chat(openai::chat::Chunk { choices: Vec::new(), ..chunk.clone() })
        }
        openai::Chunk::Completions(chunk) if chunk.usage.is_some() => {
            openai::Chunk::Completions(openai::completions::Response { choices: Vec::new(), ..chunk.clone() })
        }
        _ => return,
    };
    tap.withhold(&usage.to_json());
}
