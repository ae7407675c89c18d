//! What calls can cost, and about what they use, that are charged by images, seconds, characters or searches.
//!
//! A price says by its fields what counts. Each that it names must have a bound; the others don't matter.

use serde_json::Value;
use weir_adapter::{Operation, Request};
use weir_catalog::Price;
use weir_wire::peek::{as_str, as_u64};
use weir_wire::{Class, Usage};

use super::prompt::Prompt;
use super::{REQUEST_OVERHEAD, Unbounded, sound};
use crate::snapshot::Target;

/// Documents of one search unit, and tokens of a document that counts once.
const UNIT_DOCUMENTS: u64 = 100;
const UNIT_TOKENS: u64 = 500;
/// Tokens that a partial image adds.
const PARTIAL_IMAGE: u64 = 100;
/// Tokens that a reranker puts between a query and a document, at most.
const BETWEEN: u64 = 16;

/// What a call can count at `target`, at most.
///
/// # Errors
/// What can't be bounded.
pub(super) fn prompt(request: &Request, target: &Target, price: &Price) -> Result<Prompt, Unbounded> {
    if request.operation == Operation::Passthrough {
        return Err(Unbounded::Operation("passthrough"));
    }
    let class = unit(request.operation).filter(|class| price.rate(*class).is_some());
    let unit = class.map(|class| Ok::<_, Unbounded>((class, units(request, class, target)?))).transpose()?;
    let (tokens, output) = match price.by_token() {
        true => tokens(request, target)?,
        false if unit.is_none() => return Err(Unbounded::Price(String::new())),
        false => (0, 0),
    };
    Ok(Prompt::counted(tokens, output, unit))
}

/// The unit, beside tokens, that an operation may be charged by.
fn unit(operation: Operation) -> Option<Class> {
    match operation {
        Operation::Rerank => Some(Class::Search),
        Operation::Images | Operation::ImageEdits | Operation::ImageVariations => Some(Class::Image),
        Operation::Speech => Some(Class::Character),
        Operation::Transcriptions | Operation::Translations => Some(Class::Duration),
        _ => None,
    }
}

fn units(request: &Request, class: Class, target: &Target) -> Result<u64, Unbounded> {
    Ok(match class {
        Class::Search => searches(request),
        Class::Image => u64::from(request.peek().choices.max(1)),
        Class::Character => characters(request),
        _ => {
            let own = request.upload.as_ref().and_then(|upload| sound::at_most(upload.file.as_ref()?));
            let model = target.limits.seconds.map(|seconds| seconds.saturating_mul(1000));
            let shortest = [own, model].into_iter().flatten().min();
            sound::whole_seconds(shortest.ok_or_else(|| Unbounded::Sound(String::new()))?)
        }
    })
}

/// Tokens in and out, at most.
fn tokens(request: &Request, target: &Target) -> Result<(u64, u64), Unbounded> {
    let bytes = (request.raw().len() as u64).saturating_add(REQUEST_OVERHEAD);
    let window = || target.limits.window.ok_or_else(|| Unbounded::Prompt(String::new()));
    let limit = || target.output_limit.ok_or_else(|| Unbounded::Output(String::new()));
    let pictured = memchr::memmem::find(request.raw(), b"image").is_some();
    Ok(match request.operation {
        Operation::Rerank => {
            let (query, documents) = query_and_documents(request);
            let each = query.saturating_add(BETWEEN).saturating_mul(documents.len() as u64);
            (bytes.saturating_add(each), 0)
        }
        Operation::Moderations => (if pictured { window()? } else { bytes }, 0),
        Operation::Images | Operation::ImageEdits | Operation::ImageVariations => {
            let own = request.operation == Operation::Images && !pictured;
            let partial = member(request, "partial_images").and_then(as_u64).unwrap_or(0).min(16);
            let each = match target.limits.image_out {
                Some(tokens) => tokens,
                None => limit()?,
            };
            let each = each.saturating_add(partial * PARTIAL_IMAGE);
            let output = each.saturating_mul(u64::from(request.peek().choices.max(1)));
            (if own { bytes } else { window()? }, output)
        }
        Operation::Speech => (bytes, limit()?),
        _ => (window()?, limit()?),
    })
}

fn member<'r>(request: &'r Request, name: &str) -> Option<&'r [u8]> {
    request.peek().members.value(request.raw(), name)
}

fn characters(request: &Request) -> u64 {
    member(request, "input").and_then(as_str).map_or(0, |text| text.chars().count() as u64)
}

/// The query's bytes, and each document's.
fn query_and_documents(request: &Request) -> (u64, Vec<u64>) {
    let query = member(request, "query").map_or(0, <[u8]>::len) as u64;
    let documents: Vec<Value> =
        member(request, "documents").and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default();
    let bytes = |document: &Value| match document {
        Value::String(text) => text.len() as u64,
        other => other.to_string().len() as u64,
    };
    (query, documents.iter().map(bytes).collect())
}

/// Search units, at most: a token has at least one byte.
fn searches(request: &Request) -> u64 {
    let (query, documents) = query_and_documents(request);
    let room = UNIT_TOKENS.saturating_sub(query).max(1);
    let parts = documents.iter().map(|bytes| bytes.div_ceil(room).max(1)).fold(0, u64::saturating_add);
    parts.div_ceil(UNIT_DOCUMENTS).max(1)
}

/// About what a call uses, for where nothing is reported.
pub(crate) fn expected(request: &Request) -> Usage {
    let text = (request.raw().len() as u64).div_ceil(4);
    match request.operation {
        Operation::Rerank => {
            let documents = query_and_documents(request).1.len() as u64;
            Usage::new()
                .with(Class::Input, text)
                .with(Class::Search, documents.div_ceil(UNIT_DOCUMENTS).max(1))
        }
        Operation::Moderations => Usage::new().with(Class::Input, text),
        Operation::Images | Operation::ImageEdits | Operation::ImageVariations => {
            // A square one of medium quality, at OpenAI.
            let images = u64::from(request.peek().choices.max(1));
            Usage::new()
                .with(Class::Input, text)
                .with(Class::Output, images * 1056)
                .with(Class::Image, images)
        }
        // Fifteen characters a second, and some twenty tokens of sound.
        Operation::Speech => Usage::new()
            .with(Class::Input, text)
            .with(Class::AudioOut, characters(request).saturating_mul(7).div_ceil(5))
            .with(Class::Character, characters(request)),
        Operation::Transcriptions | Operation::Translations => {
            let file = request.upload.as_ref().and_then(|upload| upload.file.as_ref());
            let millis = file.map_or(request.raw().len() as u64 / 8, sound::likely);
            let millis = sound::whole_seconds(millis);
            Usage::new()
                .with(Class::AudioIn, (millis / 100).max(1))
                .with(Class::Output, (millis / 333).max(1))
                .with(Class::Duration, millis)
        }
        _ => Usage::new(),
    }
}
