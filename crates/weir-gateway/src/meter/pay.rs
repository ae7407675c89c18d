//! A stream pays as it goes: what a call set aside may have to grow, and while that is asked for the stream waits.

use crate::error::AttemptError;

use super::Meter;

impl Meter {
    /// After each piece: whether it is paid for. Where that has to be asked for, the client waits, and so does the
    /// provider.
    ///
    /// # Errors
    /// The stream costs more than its client wants to pay.
    pub(super) fn pay(&mut self) -> Result<(), AttemptError> {
        self.account.check()?;
        if let Some(growth) = self.account.growth() {
            self.waiting = Some(growth);
            self.held.append(&mut self.out);
        }
        Ok(())
    }

    /// A wait is over: what it held goes to the client. A stream that nobody pays for goes no further.
    pub(super) fn waited(&mut self) {
        self.waiting = None;
        std::mem::swap(&mut self.out, &mut self.held);
        self.out.append(&mut self.held);
        if self.source.is_some()
            && let Some(error) = self.account.denied()
        {
            self.fail(&error);
        }
    }
}
