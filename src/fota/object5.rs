//! The Firmware Update object (LwM2M 1.0, Appendix E.6): State and Update Result.

use crate::model::FailureReason;

/// State, `/5/0/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// 0: before a download, and after an update.
    Idle,
    /// 1: fetches the package.
    Downloading,
    /// 2: has the package; also where a failed or deferred update returns to.
    Downloaded,
    /// 3: installs it.
    Updating,
}

impl State {
    /// Every state, by number.
    pub const ALL: [Self; 4] = [
        Self::Idle,
        Self::Downloading,
        Self::Downloaded,
        Self::Updating,
    ];

    /// The state with this number.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Idle),
            1 => Some(Self::Downloading),
            2 => Some(Self::Downloaded),
            3 => Some(Self::Updating),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Downloading => 1,
            Self::Downloaded => 2,
            Self::Updating => 3,
        }
    }
}

/// Update Result, `/5/0/5`. Numbers that no version of the object defines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateResult {
    /// 0.
    Initial,
    /// 1.
    Success,
    /// 2.
    NotEnoughFlash,
    /// 3.
    OutOfMemory,
    /// 4.
    ConnectionLost,
    /// 5.
    IntegrityCheckFailed,
    /// 6.
    UnsupportedPackage,
    /// 7.
    InvalidUri,
    /// 8.
    UpdateFailed,
    /// 9.
    UnsupportedProtocol,
    /// 10 (since 1.1).
    Cancelled,
    /// 11 (since 1.1): the device will update later, of itself.
    Deferred,
    /// Any other number.
    Unknown(i64),
}

impl UpdateResult {
    /// The result with this number.
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Initial,
            1 => Self::Success,
            2 => Self::NotEnoughFlash,
            3 => Self::OutOfMemory,
            4 => Self::ConnectionLost,
            5 => Self::IntegrityCheckFailed,
            6 => Self::UnsupportedPackage,
            7 => Self::InvalidUri,
            8 => Self::UpdateFailed,
            9 => Self::UnsupportedProtocol,
            10 => Self::Cancelled,
            11 => Self::Deferred,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        match self {
            Self::Initial => 0,
            Self::Success => 1,
            Self::NotEnoughFlash => 2,
            Self::OutOfMemory => 3,
            Self::ConnectionLost => 4,
            Self::IntegrityCheckFailed => 5,
            Self::UnsupportedPackage => 6,
            Self::InvalidUri => 7,
            Self::UpdateFailed => 8,
            Self::UnsupportedProtocol => 9,
            Self::Cancelled => 10,
            Self::Deferred => 11,
            Self::Unknown(number) => number,
        }
    }

    /// The cause of failure that it names; none where it is no failure. An unknown number is a
    /// failure that nobody explains.
    pub const fn failure_reason(self) -> Option<FailureReason> {
        match self {
            Self::Initial | Self::Success | Self::Deferred => None,
            Self::NotEnoughFlash => Some(FailureReason::NoSpace),
            Self::OutOfMemory => Some(FailureReason::OutOfMemory),
            Self::ConnectionLost => Some(FailureReason::ConnectionLost),
            Self::IntegrityCheckFailed => Some(FailureReason::IntegrityCheckFailed),
            Self::UnsupportedPackage => Some(FailureReason::UnsupportedPackage),
            Self::InvalidUri => Some(FailureReason::InvalidUri),
            Self::UpdateFailed | Self::Unknown(_) => Some(FailureReason::UpdateFailed),
            Self::UnsupportedProtocol => Some(FailureReason::UnsupportedProtocol),
            Self::Cancelled => Some(FailureReason::Cancelled),
        }
    }
}

/// Firmware Update Delivery Method, `/5/0/9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryMethod {
    /// 0: it fetches the package.
    PullOnly,
    /// 1: the package is written to it.
    PushOnly,
    /// 2.
    Both,
}

impl DeliveryMethod {
    /// The method with this number.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::PullOnly),
            1 => Some(Self::PushOnly),
            2 => Some(Self::Both),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_their_numbers() {
        for state in State::ALL {
            assert_eq!(State::from_number(state.number().into()), Some(state));
        }
        assert_eq!(State::from_number(4), None);
        assert_eq!(State::from_number(-1), None);
    }

    #[test]
    fn results_keep_their_numbers_even_unknown_ones() {
        for number in (-1..=20).chain([i64::MAX, i64::MIN]) {
            assert_eq!(UpdateResult::from_number(number).number(), number);
        }
    }

    #[test]
    fn only_initial_success_and_deferred_are_no_failures() {
        for number in -1..=20 {
            let failure = UpdateResult::from_number(number).failure_reason();
            assert_eq!(
                failure.is_none(),
                [0, 1, 11].contains(&number),
                "{number}: {failure:?}"
            );
        }
    }
}
