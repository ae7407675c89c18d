//! Stored answers in Redis, for several replicas. They may be gone at any time, and so may Redis: then nothing is found.
//!
//! An answer is a value with a lifetime. Three further keys know what there is: when each was last asked for, when it
//! ends, and how large it is, so that all together stay below a size. What Redis itself throws out for want of memory
//! counts till its lifetime ends. All keys have one hash tag: in a cluster they are in one slot.

use std::time::Duration;

use bytes::Bytes;
use redis::{Script, ScriptInvocation, Value};
use weir_gateway::cache::Key;
use weir_gateway::cache::shelf::{Asked, Shelf};

use crate::link::Redis;
use crate::values::MAX_VALUE;

/// Where everything of the cache stands.
const PREFIX: &str = "{weir:cache}:";
/// How many are forgotten at a time, so that nobody waits long for Redis.
const AT_ONCE: usize = 500;
/// How often, at most: ten million answers.
const ROUNDS: usize = 20_000;

pub(crate) struct Scripts {
    get: Script,
    put: Script,
    purge: Script,
}

impl Default for Scripts {
    fn default() -> Scripts {
        Scripts {
            get: Script::new(include_str!("scripts/cache_get.lua")),
            put: Script::new(include_str!("scripts/cache_put.lua")),
            purge: Script::new(include_str!("scripts/cache_purge.lua")),
        }
    }
}

/// A script with the keys that all of them know.
fn of(script: &Script) -> ScriptInvocation<'_> {
    let mut invocation = script.prepare_invoke();
    for name in ["used", "ends", "sizes", "bytes"] {
        invocation.key(format!("{PREFIX}{name}"));
    }
    invocation
}

fn name(key: &Key) -> Vec<u8> {
    [format!("{PREFIX}answer:").as_bytes(), key].concat()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

impl Shelf for Redis {
    fn largest(&self) -> usize {
        MAX_VALUE
    }

    fn get<'s>(&'s self, key: &'s Key) -> Asked<'s, Bytes> {
        Box::pin(async move {
            let mut script = of(&self.0.scripts.cache.get);
            script.key(name(key));
            match self.0.run(&script).await.ok()? {
                Value::BulkString(bytes) => Some(bytes.into()),
                _ => None,
            }
        })
    }

    fn put<'s>(&'s self, key: &'s Key, value: Bytes, lifetime: Duration, limit: usize) -> Asked<'s, u64> {
        Box::pin(async move {
            let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50);
            let mut script = of(&self.0.scripts.cache.put);
            script.key(name(key)).arg(&value[..]).arg(millis).arg(limit);
            number(&self.0.run(&script).await.ok()?)
        })
    }

    fn purge(&self) -> Asked<'_, u64> {
        Box::pin(async move {
            let mut all = 0;
            for _ in 0..ROUNDS {
                let mut script = of(&self.0.scripts.cache.purge);
                script.arg(AT_ONCE);
                match number(&self.0.run(&script).await.ok()?)? {
                    0 => break,
                    some => all += some,
                }
            }
            Some(all)
        })
    }

    fn held(&self) -> Asked<'_, (u64, u64)> {
        Box::pin(async move {
            // None to forget: what is left is told, without what has ended.
            let mut script = of(&self.0.scripts.cache.purge);
            script.arg(0);
            match self.0.run(&script).await.ok()? {
                Value::Array(list) => Some((number(list.first()?)?, number(list.get(1)?)?)),
                _ => None,
            }
        })
    }
}
