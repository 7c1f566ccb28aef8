//! What operators do beside campaigns.

use narrowcast::engine::Engine;

use super::World;
use crate::server::Crash;

impl World {
    /// Gives the server one input, in which it may die; what it answered, unless that is lost.
    pub(crate) fn input<R>(
        &mut self,
        crash: Option<Crash>,
        input: impl FnOnce(&mut Engine) -> R,
    ) -> Option<R> {
        let (result, transmits) = self.server.handle(self.now, crash, input);
        self.served(transmits);
        result
    }

    /// No datagram that is on its way arrives.
    pub(crate) fn lose_what_is_under_way(&mut self) {
        self.to_come.clear();
    }
}
