//! "Why is this device not updating?": what is known of a device and its task, as one text.

use std::fmt::Write as _;

use super::next_action::{next_action, next_action_of, next_action_text};
use super::shown::Hold;
use super::step_text::{phase_text, waiting_text};
use super::{failure_text, success_note_text};
use crate::clock::Utc;
use crate::model::{CellId, CoverageTier, Language, NextAction, TaskState, UpdateTask, WaitingFor};

/// What is known of a device.
#[derive(Clone, Debug, Default)]
pub struct WhyFacts<'a> {
    /// Whether anybody has entered it.
    pub known: bool,
    /// Whether it has a live registration.
    pub registered: bool,
    /// Whether it would hear a request now.
    pub awake: bool,
    /// When it was last heard, since the server began.
    pub last_heard: Option<Utc>,
    /// Until when it must have been heard again, or its registration ends.
    pub expected_until: Option<Utc>,
    /// Since when the loop guard holds it.
    pub barred_since: Option<Utc>,
    /// The task that says most: one under way, else the last that there is.
    pub task: Option<WhyTask<'a>>,
    /// Campaigns that it was left out of, where its task is not under way.
    pub left_out: Vec<WhyLeftOut>,
}

/// A campaign that left a device out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyLeftOut {
    /// Which and why, as a sentence.
    pub sentence: String,
    /// What to do about it.
    pub next_action: NextAction,
}

/// What is known of its task.
#[derive(Clone, Debug)]
pub struct WhyTask<'a> {
    /// As it is shown.
    pub task: &'a UpdateTask,
    /// What of its campaign holds it up.
    pub hold: Option<&'a Hold>,
    /// What was seen that does not meet what its campaign asks for, where it waits for that.
    pub unmet: Option<&'a str>,
    /// The campaign's name.
    pub campaign_name: &'a str,
    /// How many attempts the campaign makes at most.
    pub attempts_max: u32,
    /// Where in its cell it stands, while it waits for a slot.
    pub place: Option<QueuePlace>,
    /// How many bytes of how many were fetched.
    pub served: Option<(u64, u64)>,
}

impl WhyTask<'_> {
    /// What one in a queue waits for now, which may not be what it did when it asked.
    fn in_queue_for(&self) -> Option<WaitingFor> {
        let place = self.place?;
        Some(match place.for_rate {
            true => WaitingFor::Rate,
            false => WaitingFor::Slot,
        })
    }

    fn next_action(&self) -> NextAction {
        if let Some(hold) = self.hold {
            return hold.next_action();
        }
        let in_queue_for = self.in_queue_for();
        in_queue_for.map_or_else(|| next_action(self.task), next_action_of)
    }
}

/// A place in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// The cell.
    pub cell: CellId,
    /// The class within it.
    pub tier: CoverageTier,
    /// How many of the class are active.
    pub active: u32,
    /// How many may be.
    pub limit: u32,
    /// How many wait.
    pub queued: u32,
    /// How many of those come before it.
    pub ahead: usize,
    /// Whether there is room for it: only so many begin a minute.
    pub for_rate: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In the language that was asked for.
    pub text: String,
    /// What to do.
    pub next_action: NextAction,
}

/// Says why a device is not updated, and what to do about it.
pub fn why(facts: &WhyFacts<'_>, language: Language) -> Why {
    let mut text = Sentences::new(language);
    let action = if !facts.known {
        text.say(
            "No device of this name is known here.",
            "平台没有该终端标识的设备。",
        );
        NextAction::EnterDevice
    } else {
        if facts.task.is_none() {
            text.say("The device is in no campaign.", "设备不在任何升级任务中。");
        }
        // A campaign that wanted it and left it out says more than one that is over, or a draft.
        for left_out in &facts.left_out {
            text.add(&left_out.sentence);
        }
        let of_task = facts.task.as_ref().map(|task| {
            tell_task(&mut text, facts, task);
            task.next_action()
        });
        let first = facts.left_out.first().map(|it| it.next_action);
        first.or(of_task).unwrap_or(NextAction::CreateCampaign)
    };
    let action = match facts.barred_since {
        Some(since) if action != NextAction::None => {
            text.say(
                format_args!(
                    "It is barred since {since}, because it was given packages again and again."
                ),
                format_args!("因反复下发固件包,设备自 {since} 起被禁止升级。"),
            );
            NextAction::LiftBar
        }
        None if action == NextAction::LiftBar => {
            text.say("It is barred no longer.", "该设备的禁止升级状态已解除。");
            NextAction::Retry
        }
        Some(_) | None => action,
    };
    text.add(next_action_text(action, language));
    Why {
        text: text.text,
        next_action: action,
    }
}

fn tell_task(text: &mut Sentences, facts: &WhyFacts<'_>, why: &WhyTask<'_>) {
    let task = why.task;
    let (campaign, name) = (task.campaign.0, why.campaign_name);
    match task.attempt {
        0 => text.say(
            format_args!("Campaign {campaign} “{name}”:"),
            format_args!("升级任务 {campaign}“{name}”:"),
        ),
        attempt => text.say(
            format_args!(
                "Campaign {campaign} “{name}”, attempt {attempt} of {}:",
                why.attempts_max
            ),
            format_args!(
                "升级任务 {campaign}“{name}”,第 {attempt} 次尝试 (共 {} 次):",
                why.attempts_max
            ),
        ),
    }
    match task.state {
        TaskState::Succeeded => {
            text.say(
                format_args!("The update succeeded at {}.", task.since),
                format_args!("已于 {} 升级成功。", task.since),
            );
            if let Some(note) = task.note {
                text.add(success_note_text(note, text.language));
            }
        }
        TaskState::Failed => text.say(
            format_args!("The update failed at {}.", task.since),
            format_args!("已于 {} 升级失败。", task.since),
        ),
        TaskState::Stopped => text.say(
            format_args!("The task was stopped at {}.", task.since),
            format_args!("升级任务已于 {} 停止。", task.since),
        ),
        TaskState::Pending | TaskState::Running => tell_wait(text, facts, why),
    }
    if let Some(failure) = &task.failure {
        if !task.state.is_final() {
            text.say("The attempt before failed:", "上一次尝试失败:");
        }
        text.add(failure_text(failure.reason, text.language));
        tell_seen(text, &failure.evidence);
    }
}

fn tell_seen(text: &mut Sentences, evidence: &str) {
    if !evidence.is_empty() {
        text.say(
            format_args!("Seen: {evidence}."),
            format_args!("依据:{evidence}。"),
        );
    }
}

fn tell_wait(text: &mut Sentences, facts: &WhyFacts<'_>, why: &WhyTask<'_>) {
    let task = why.task;
    text.add(phase_text(task.phase, text.language));
    if let Some(waiting_for) = why.in_queue_for().or(task.waiting_for) {
        text.add(waiting_text(waiting_for, text.language));
    }
    if let Some(hold) = why.hold {
        text.add(hold.text(text.language));
    }
    if let Some(unmet) = why.unmet {
        tell_seen(text, unmet);
    }
    match task.until {
        Some(until) => text.say(
            format_args!("So since {}, until {until} at the latest.", task.since),
            format_args!("自 {} 起,最迟至 {until}。", task.since),
        ),
        None => text.say(
            format_args!("So since {}.", task.since),
            format_args!("自 {} 起。", task.since),
        ),
    }
    if let Some(place) = why.place {
        let (cell, tier) = (place.cell.0, place.tier);
        let (active, limit, queued) = (place.active, place.limit, place.queued);
        let ahead = place.ahead;
        text.say(
            format_args!(
                "In cell {cell}, tier {tier}, {active} of {limit} places are taken, and {queued} devices wait, \
                 {ahead} before it."
            ),
            format_args!("小区 {cell} 等级 {tier}:已占用 {active}/{limit} 个名额,{queued} 台设备排队,其中 {ahead} 台在前。"),
        );
    }
    if let Some((served, size)) = why.served {
        text.say(
            format_args!("It has fetched {served} of {size} bytes."),
            format_args!("已下载 {served}/{size} 字节。"),
        );
    }
    tell_contact(text, facts, task);
}

/// When the device was heard and when it will be, where that is what the task is about.
fn tell_contact(text: &mut Sentences, facts: &WhyFacts<'_>, task: &UpdateTask) {
    match facts.last_heard {
        Some(at) => text.say(
            format_args!("The device was last heard at {at}."),
            format_args!("最后一次收到设备消息的时间为 {at}。"),
        ),
        None => text.say(
            "The device was not heard since the server began.",
            "平台启动以来未收到该设备的消息。",
        ),
    }
    if !facts.registered {
        text.say("It is not registered.", "设备未注册。");
    } else if !facts.awake && task.waiting_for != Some(WaitingFor::Activation) {
        match facts.expected_until {
            Some(until) => text.say(
                format_args!("It sleeps, and is expected before {until}."),
                format_args!("设备处于休眠,预计在 {until} 之前上线。"),
            ),
            None => text.say("It sleeps.", "设备处于休眠。"),
        }
    }
}

/// Sentences one behind the other, as the language has them.
struct Sentences {
    language: Language,
    text: String,
}

impl Sentences {
    const fn new(language: Language) -> Self {
        Self {
            language,
            text: String::new(),
        }
    }

    fn say(&mut self, english: impl std::fmt::Display, chinese: impl std::fmt::Display) {
        match self.language {
            Language::En => self.add(english),
            Language::Zh => self.add(chinese),
        }
    }

    fn add(&mut self, sentence: impl std::fmt::Display) {
        if self.language == Language::En && !self.text.is_empty() {
            self.text.push(' ');
        }
        // Writing to a text does not fail.
        let _ = write!(self.text, "{sentence}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{
        CampaignId, EndpointName, Failure, FailureReason, Phase, SuccessNote, TaskId,
    };

    fn at(seconds: i64) -> Utc {
        Utc::from_unix_ms(seconds * 1000)
    }

    fn task(phase: Phase, waiting_for: Option<WaitingFor>) -> UpdateTask {
        let endpoint = EndpointName::parse("a").unwrap();
        UpdateTask {
            state: TaskState::Running,
            phase,
            attempt: 2,
            waiting_for,
            until: Some(at(90)),
            ..UpdateTask::new(TaskId(7), CampaignId(12), endpoint, at(60))
        }
    }

    fn facts(task: &UpdateTask) -> WhyFacts<'_> {
        WhyFacts {
            known: true,
            registered: true,
            last_heard: Some(at(30)),
            expected_until: Some(at(3600)),
            task: Some(WhyTask {
                task,
                campaign_name: "spring",
                attempts_max: 4,
                hold: None,
                unmet: None,
                place: None,
                served: Some((512, 2048)),
            }),
            ..WhyFacts::default()
        }
    }

    fn has_chinese(text: &str) -> bool {
        text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    }

    #[test]
    fn each_phase_and_each_wait_is_told_in_each_language_with_its_next_action() {
        let mut texts = BTreeSet::new();
        for &phase in Phase::ALL {
            let waits = WaitingFor::ALL.iter().copied().map(Some).chain([None]);
            for waiting_for in waits {
                let task = task(phase, waiting_for);
                for &language in Language::ALL {
                    let Why { text, next_action } = why(&facts(&task), language);
                    assert!(text.contains(phase_text(phase, language)), "{text}");
                    if let Some(waiting_for) = waiting_for {
                        assert!(text.contains(waiting_text(waiting_for, language)), "{text}");
                    }
                    assert!(
                        text.ends_with(next_action_text(next_action, language)),
                        "{text}"
                    );
                    for part in [
                        "12",
                        "spring",
                        "1970-01-01T00:01:30.000Z",
                        "1970-01-01T00:00:30.000Z",
                        "512",
                    ] {
                        assert!(text.contains(part), "{part}: {text}");
                    }
                    let zh = language == Language::Zh;
                    assert_eq!(has_chinese(&text), zh, "{text}");
                    assert!(!text.contains("  "), "{text}");
                    texts.insert(text);
                }
            }
        }
        let combinations = Phase::ALL.len() * (WaitingFor::ALL.len() + 1) * Language::ALL.len();
        assert_eq!(texts.len(), combinations, "two of them are told alike");
    }

    #[test]
    fn a_sleeping_device_is_expected_and_one_that_is_gone_is_not() {
        let task = task(Phase::WaitingContact, Some(WaitingFor::Contact));
        let asleep = why(&facts(&task), Language::En);
        assert!(
            asleep
                .text
                .contains("It sleeps, and is expected before 1970-01-01T01:00:00.000Z.")
        );
        assert_eq!(asleep.next_action, NextAction::BringIntoContact);
        let gone = WhyFacts {
            registered: false,
            last_heard: None,
            ..facts(&task)
        };
        let gone = why(&gone, Language::En).text;
        assert!(gone.contains("It is not registered."), "{gone}");
        assert!(gone.contains("was not heard since"), "{gone}");
    }

    #[test]
    fn a_queue_is_told_with_its_cell_and_limits() {
        let task = task(Phase::WaitingSlot, Some(WaitingFor::Slot));
        let mut facts = facts(&task);
        let place = QueuePlace {
            cell: CellId(4711),
            tier: CoverageTier::Tier2,
            active: 1,
            limit: 1,
            queued: 17,
            ahead: 5,
            for_rate: false,
        };
        if let Some(task) = &mut facts.task {
            task.place = Some(place);
        }
        let told = why(&facts, Language::En).text;
        assert!(
            told.contains(
                "In cell 4711, tier 2, 1 of 1 places are taken, and 17 devices wait, 5 before it."
            ),
            "{told}"
        );
        let told = why(&facts, Language::Zh).text;
        assert!(
            told.contains("小区 4711 等级 2:已占用 1/1 个名额"),
            "{told}"
        );
    }

    #[test]
    fn each_failure_is_told_with_what_was_seen() {
        for &reason in FailureReason::ALL {
            let mut failed = task(Phase::Done, None);
            failed.state = TaskState::Failed;
            failed.failure = Some(Failure {
                reason,
                evidence: "/5/0/5 = 4".to_owned(),
            });
            for &language in Language::ALL {
                let Why { text, next_action } = why(&facts(&failed), language);
                assert!(text.contains(failure_text(reason, language)), "{text}");
                assert!(text.contains("/5/0/5 = 4"), "{text}");
                assert_ne!(next_action, NextAction::None, "{reason}");
            }
        }
    }

    #[test]
    fn devices_that_are_in_no_campaign_were_left_out_are_barred_or_unknown_are_told_so() {
        let unknown = why(&WhyFacts::default(), Language::En);
        assert_eq!(unknown.next_action, NextAction::EnterDevice);
        let idle = WhyFacts {
            known: true,
            ..WhyFacts::default()
        };
        let none = why(&idle, Language::Zh);
        assert_eq!(none.next_action, NextAction::CreateCampaign);
        assert!(none.text.starts_with("设备不在任何升级任务中。"));
        let left_out = WhyFacts {
            left_out: vec![WhyLeftOut {
                sentence: "Campaign 3 left it out.".to_owned(),
                next_action: NextAction::ChangeTargets,
            }],
            ..idle.clone()
        };
        let left_out = why(&left_out, Language::En);
        assert_eq!(left_out.next_action, NextAction::ChangeTargets);
        assert!(left_out.text.contains("Campaign 3 left it out."));
        let barred = WhyFacts {
            barred_since: Some(at(1)),
            ..idle
        };
        let barred = why(&barred, Language::En);
        assert_eq!(barred.next_action, NextAction::LiftBar);
        assert!(
            barred
                .text
                .contains("barred since 1970-01-01T00:00:01.000Z")
        );
        let done = UpdateTask {
            state: TaskState::Succeeded,
            note: Some(SuccessNote::UpToDate),
            ..task(Phase::Done, None)
        };
        let done = why(&facts(&done), Language::En);
        assert_eq!(done.next_action, NextAction::None);
        assert!(done.text.contains("The current version is the same"));
    }
}
