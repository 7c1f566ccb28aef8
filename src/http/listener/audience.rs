//! Whom a listener is for, where that makes a difference.

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Operators, scripts, the console.
    Operators,
    /// Modules that fetch packages.
    Devices,
    /// The same by HTTPS.
    SecuredDevices,
}

impl Audience {
    /// What the kernel takes for a connection ahead of its peer, in bytes, where that is not its own
    /// choice: to a device that takes an image for an hour what it has must not be far behind what it
    /// was sent. Still more than an NB-IoT cell carries in the seconds of a round trip.
    pub(super) const fn send_buffer_bytes(self) -> Option<usize> {
        match self {
            Self::Operators => None,
            Self::Devices | Self::SecuredDevices => Some(16 * 1024),
        }
    }

    /// Whether fields are named `Content-Range` rather than `content-range`: some modules look for the
    /// one and do not find the other (carrier flows §5).
    pub(super) const fn title_case(self) -> bool {
        match self {
            Self::Operators => false,
            Self::Devices | Self::SecuredDevices => true,
        }
    }

    pub(super) const fn connections_metric(self) -> &'static str {
        match self {
            Self::Operators => "narrowcast_http_connections",
            Self::Devices => "narrowcast_device_http_connections",
            Self::SecuredDevices => "narrowcast_device_https_connections",
        }
    }

    pub(super) const fn refused_metric(self) -> &'static str {
        match self {
            Self::Operators => "narrowcast_http_connections_refused_total",
            Self::Devices => "narrowcast_device_http_connections_refused_total",
            Self::SecuredDevices => "narrowcast_device_https_connections_refused_total",
        }
    }

    pub(super) const fn accept_errors_metric(self) -> &'static str {
        match self {
            Self::Operators => "narrowcast_http_accept_errors_total",
            Self::Devices => "narrowcast_device_http_accept_errors_total",
            Self::SecuredDevices => "narrowcast_device_https_accept_errors_total",
        }
    }

    pub(super) const fn timeouts_metric(self) -> &'static str {
        match self {
            Self::Operators => "narrowcast_http_timeouts_total",
            Self::Devices => "narrowcast_device_http_timeouts_total",
            Self::SecuredDevices => "narrowcast_device_https_timeouts_total",
        }
    }
}
