//! Which habits real modules have together (carrier flows §3.2).

use super::device::{NotifyReliability, Quirks};
use crate::coap::ContentFormat;

/// What one kind of module does in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// How it lives through an update.
    pub quirks: Quirks,
    /// How it notifies.
    pub notify: NotifyReliability,
}

impl Habits {
    /// The kind of a fleet's `index`th device: there are seven, in turn, the first without any habit.
    pub fn in_turn(index: usize) -> Self {
        let none = Quirks::default();
        let quirks = match index % 7 {
            0 => none,
            1 => Quirks {
                waits_for_notification_ack: true,
                remembers_observation: true,
                ..none
            },
            2 => Quirks {
                own_download_socket: true,
                reboots_before_execute_answer: true,
                ..none
            },
            3 => Quirks {
                first_request_without_block2: true,
                answers_in: Some(ContentFormat::TLV),
                ..none
            },
            4 => Quirks {
                new_port_after_reboot: true,
                result_reads_once: true,
                ..none
            },
            5 => Quirks {
                ignores_uri_unless_idle: true,
                ..none
            },
            _ => Quirks {
                resumes: true,
                own_download_socket: true,
                ..none
            },
        };
        // Not where the ACK of a notification is waited for: one that asks for none gets none.
        let notify = match index % 7 {
            3 | 6 => NotifyReliability::NonConfirmable,
            _ => NotifyReliability::Confirmable,
        };
        Self { quirks, notify }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_waits_for_an_ack_that_it_never_asks_for() {
        for index in 0..14 {
            let habits = Habits::in_turn(index);
            assert!(
                !habits.quirks.waits_for_notification_ack
                    || habits.notify == NotifyReliability::Confirmable,
                "{habits:?}"
            );
        }
    }
}
