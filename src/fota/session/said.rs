//! The device speaks of itself: what it says need not be read.

use crate::clock::Now;
use crate::lwm2m::{Answer, Value};
use crate::model::TimelineStep;

use super::super::said::Said;
use super::super::step::{Step, step};
use super::Session;
use super::deadlines::Stage;

impl Session {
    /// It sent of itself what it may be asked for. Behind this comes the contact that it is.
    pub fn handle_said(&mut self, now: Now, said: &Said) {
        self.said.join(now.instant, said);
        if self.stage == Stage::Condition {
            // Something that it lacked may be there now.
            for resource in said.resources() {
                self.forget(resource);
            }
        }
    }

    /// What comes next: a Read only where the device has not said it just now.
    pub(super) fn next_step(&mut self, now: Now) -> Step {
        let fresh_for = self.terms.settings.send_fresh_for;
        let mut taken: Vec<String> = Vec::new();
        loop {
            let next = step(&self.wanted, &self.terms, &self.reported, &self.progress);
            let Step::Read(resource) = next else {
                self.note_taken(&taken);
                return next;
            };
            let Some(value) = self.said.take(now.instant, resource, fresh_for) else {
                self.note_taken(&taken);
                return next;
            };
            self.reading(now, resource, Answer::Value(Value::Integer(value)));
            taken.push(format!("{resource} = {value}"));
        }
    }

    fn note_taken(&mut self, taken: &[String]) {
        if !taken.is_empty() {
            let detail = format!("as the device sent it: {}", taken.join(", "));
            self.timeline(TimelineStep::Note, detail);
        }
    }
}
