//! How a device comes into the server's registry and stays there (LwM2M 1.0 §5.3).

use std::time::Duration;

use bytes::Bytes;

use super::super::log::DeviceEvent;
use super::{Presence, SimDevice, SocketKind};
use crate::clock::Instant;
use crate::coap::{Code, ContentFormat, OptionNumber, Request, Response};

/// The longest wait between two tries to register.
const REGISTER_RETRY_MAX: Duration = Duration::from_secs(60);

impl SimDevice {
    pub(super) fn handle_register_response(
        &mut self,
        now: Instant,
        response: &Response,
        retries: u32,
    ) {
        if response.code != Code::CREATED {
            return self.retry_registering(now, retries);
        }
        let location = response
            .options
            .all(OptionNumber::LOCATION_PATH)
            .map(|segment| String::from_utf8_lossy(segment).into_owned())
            .collect();
        let update_at = self.next_update(now);
        self.presence = Presence::Registered {
            location,
            update_at,
        };
        self.log(DeviceEvent::Registered);
        self.after_registration(now);
    }

    pub(super) fn boot(&mut self, now: Instant) {
        if self.fails_to_boot(now) {
            return;
        }
        self.log(DeviceEvent::Booted {
            version: self.version.clone(),
        });
        self.resume_install(now);
        self.register(now, 0);
    }

    pub(super) fn register(&mut self, now: Instant, retries: u32) {
        let binding = if self.config.queue_mode {
            "b=UQ"
        } else {
            "b=U"
        };
        let mut request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query(&format!("ep={}", self.config.endpoint))
            .with_query(binding)
            .with_query(&format!("lt={}", self.config.lifetime.as_secs()));
        if !self.config.links.is_empty() {
            let links = Bytes::from(self.config.links.clone());
            request = request.with_payload(ContentFormat::LINK_FORMAT, links);
        }
        self.registration_update = None;
        self.presence = match self.send(now, SocketKind::Main, request) {
            Some(request) => Presence::Registering { request, retries },
            None => Presence::Unregistered {
                retry_at: now + self.config.retry,
                retries,
            },
        };
    }

    pub(super) fn retry_registering(&mut self, now: Instant, retries: u32) {
        let backed_off = self.config.retry.saturating_mul(1 << retries.min(6));
        let delay = self.jittered(backed_off.min(REGISTER_RETRY_MAX));
        self.presence = Presence::Unregistered {
            retry_at: now + delay,
            retries: retries.saturating_add(1),
        };
    }

    pub(super) fn update_registration(&mut self, now: Instant) {
        let next = self.next_update(now);
        let Presence::Registered {
            location,
            update_at,
        } = &mut self.presence
        else {
            return;
        };
        *update_at = next;
        let path = location.join("/");
        if self.registration_update.is_none() {
            self.registration_update =
                self.send(now, SocketKind::Main, Request::new(Code::POST, &path));
        }
    }

    fn next_update(&mut self, now: Instant) -> Instant {
        let next = match self.config.daily_uplink {
            Some(daily) => daily.next(now, &mut self.rng),
            None => now + self.jittered(self.config.update_interval),
        };
        match self.config.update_before_expiry {
            Some(early) => next.min(now + self.config.lifetime.saturating_sub(early)),
            None => next,
        }
    }
}
