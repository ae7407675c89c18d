//! Values with a lifetime, for caches. They may be gone at any time.

use std::time::Duration;

use redis::AsyncCommands;

use crate::link::{PATIENCE, Redis};

/// The largest value that is kept, in bytes.
pub const MAX_VALUE: usize = 1 << 20;

/// Redis can't be asked now, or the value is larger than [`MAX_VALUE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Redis is away.
    #[error("Redis is away")]
    Away,
    /// The value is too large.
    #[error("the value is larger than {MAX_VALUE} bytes")]
    TooLarge,
}

/// Values stand apart from limits.
fn name(key: &[u8]) -> Vec<u8> {
    [b"weir:value:", key].concat()
}

impl Redis {
    /// The value of `key`, if it is there.
    ///
    /// # Errors
    /// Redis is away. It never takes longer than 50 ms to find that out.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unavailable> {
        let mut connection = self.0.connection().ok_or(Unavailable::Away)?;
        let answer = connection.get::<_, Option<Vec<u8>>>(name(key));
        self.0.within(PATIENCE, answer).await.map_err(|_| Unavailable::Away)
    }

    /// Sets a value for `lifetime`, at least a millisecond.
    ///
    /// # Errors
    /// Redis is away, or the value is too large.
    pub async fn set(&self, key: &[u8], value: &[u8], lifetime: Duration) -> Result<(), Unavailable> {
        if value.len() > MAX_VALUE {
            return Err(Unavailable::TooLarge);
        }
        let mut connection = self.0.connection().ok_or(Unavailable::Away)?;
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1);
        let answer = connection.pset_ex::<_, _, ()>(name(key), value, millis);
        self.0.within(PATIENCE, answer).await.map_err(|_| Unavailable::Away)
    }

    /// Removes a value.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn delete(&self, key: &[u8]) -> Result<(), Unavailable> {
        let mut connection = self.0.connection().ok_or(Unavailable::Away)?;
        let answer = connection.del::<_, ()>(name(key));
        self.0.within(PATIENCE, answer).await.map_err(|_| Unavailable::Away)
    }
}
