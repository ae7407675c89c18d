//! Limits that hold over all replicas: one script a call.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{FromRedisValue, Value};
use weir_gateway::limits::{Answer, Ask, Kind, Scope, Shared, Taken, Verdict};

use crate::link::Redis;
use crate::settle::Settled;

/// For how long a new epoch is young: by then every replica has told what it had let in before.
const YOUNG: Duration = Duration::from_millis(1500);
/// Redis does not act on what it gets later than this: by then the call may have been decided without it.
const ACTED_ON: Duration = Duration::from_millis(25);

/// The key of a limit. All share one slot of a cluster, so that one script reaches them.
pub(crate) fn key(scope: Scope, kind: Kind, name: &str) -> Vec<u8> {
    let mut key = format!("{{weir}}:limit:{}:{}:", scope.name(), kind.name()).into_bytes();
    key.extend_from_slice(name.as_bytes());
    key
}

/// Spans in the scripts; 0 for calls under way.
pub(crate) fn span(kind: Kind) -> u64 {
    kind.span().unwrap_or(0)
}

impl Redis {
    /// The name of a call in Redis.
    pub(crate) fn member(&self, call: u64) -> Vec<u8> {
        format!("{}:{call}", self.0.instance).into_bytes()
    }

    async fn ask(&self, asks: &[Ask]) -> Verdict {
        let link = &self.0;
        if !link.is_up() {
            return Verdict::Lost(link.loss());
        }
        let epoch = link.epoch.lock().clone();
        let call = link.calls.fetch_add(1, Ordering::Relaxed);
        let deadline = link.time() + ACTED_ON.as_millis() as u64;
        let mut script = link.scripts.admit.key("{weir}:epoch");
        script.arg(&epoch).arg(deadline).arg(YOUNG.as_millis() as u64).arg(self.member(call));
        for ask in asks {
            script.key(key(ask.scope, ask.kind, &ask.name));
            script.arg(ask.limit).arg(ask.amount).arg(span(ask.kind));
        }
        let counted: Vec<Vec<u8>> = asks
            .iter()
            .filter(|ask| ask.kind == Kind::Concurrency)
            .map(|ask| key(ask.scope, ask.kind, &ask.name))
            .collect();
        if !counted.is_empty() {
            link.running.lock().begin(call, self.member(call), counted);
        }
        let verdict = match link.run(&script).await {
            Ok(value) => self.read(value, asks.len(), call),
            Err(_) => Verdict::Lost(link.loss()),
        };
        if !matches!(verdict, Verdict::Admitted { .. }) {
            link.running.lock().end(call);
        }
        verdict
    }

    fn read(&self, value: Value, asked: usize, call: u64) -> Verdict {
        let link = &self.0;
        let Value::Array(parts) = value else { return Verdict::Lost(link.loss()) };
        let mut parts = parts.into_iter();
        let word = parts.next().and_then(|word| String::from_redis_value(word).ok()).unwrap_or_default();
        let numbers: Vec<i64> = parts.filter_map(|part| i64::from_redis_value(part).ok()).collect();
        if !matches!(word.as_str(), "ok" | "no") || numbers.len() != 3 + 2 * asked {
            if word == "lost" {
                link.lose("it has lost what it knew");
            }
            return Verdict::Lost(link.loss());
        }
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let answers = numbers[3..]
            .chunks_exact(2)
            .map(|pair| Answer { remaining: count(pair[0]), reset: Duration::from_millis(count(pair[1])) })
            .collect();
        match word.as_str() {
            "ok" => Verdict::Admitted { answers, taken: Taken { call, at: count(numbers[0]) } },
            _ => Verdict::Refused {
                index: usize::try_from(numbers[1] - 1).unwrap_or(0),
                wait: (numbers[2] >= 0).then(|| Duration::from_millis(count(numbers[2]).max(1))),
                answers,
            },
        }
    }
}

impl Shared for Redis {
    fn admit<'a>(&'a self, asks: &'a [Ask]) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.ask(asks))
    }

    fn settle(&self, taken: Taken, asks: &[Ask], truth: &[u64]) {
        let link = &self.0;
        link.running.lock().end(taken.call);
        let changed = asks
            .iter()
            .zip(truth)
            .filter(|(ask, truth)| ask.kind == Kind::Concurrency || ask.amount != **truth)
            .map(|(ask, truth)| (key(ask.scope, ask.kind, &ask.name), ask.amount, *truth, span(ask.kind)))
            .collect::<Vec<_>>();
        if changed.is_empty() || !link.is_up() {
            return;
        }
        let settled = Settled {
            epoch: link.epoch.lock().clone(),
            member: self.member(taken.call),
            at: taken.at,
            limits: changed,
        };
        drop(link.corrections.try_send(settled));
    }
}
