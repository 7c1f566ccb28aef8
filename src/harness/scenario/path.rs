//! How bad the path of a device is, beside its cell's air. Sans-IO.

use std::str::FromStr;

use serde::Deserialize;

use super::error::{Fault, Field};
use super::quantity::Time;
use crate::net::{BitRate, Impairment, ImpairmentError, Jitter, NatMapping, OneWay, Probability};

/// What is done to datagrams of both directions, and of each.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PathTable {
    both: Option<WayTable>,
    up: Option<WayTable>,
    down: Option<WayTable>,
    /// How often the NAT maps anew, whatever is sent.
    rebind_every: Option<Time>,
}

/// Words as those of `narrowcast impair`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WayTable {
    loss: Option<Share>,
    duplicate: Option<Share>,
    reorder: Option<Share>,
    corrupt: Option<Share>,
    delay: Option<Time>,
    jitter: Option<String>,
    rate: Option<String>,
    mtu_bytes: Option<u16>,
}

/// `"2.5%"` or 0.025.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a share, such as \"2.5%\" or 0.025")]
enum Share {
    Number(f64),
    Text(String),
}

impl PathTable {
    pub(super) fn check(&self, field: &Field) -> Result<Option<Impairment>, Fault> {
        let Self {
            both,
            up,
            down,
            rebind_every,
        } = self;
        if both.is_none() && up.is_none() && down.is_none() && rebind_every.is_none() {
            return Ok(None);
        }
        if rebind_every.is_some_and(|Time(every)| every.is_zero()) {
            let told = "must be longer than nothing, such as \"20m\"";
            return Err(field.key("rebind_every").fault(told));
        }
        if both.is_some() && (up.is_some() || down.is_some()) {
            return Err(field.fault("give both, or up and down"));
        }
        let way = |key: &str, of: &Option<WayTable>| match of.as_ref().or(both.as_ref()) {
            Some(way) => way.check(&field.key(if both.is_some() { "both" } else { key })),
            None => Ok(OneWay::default()),
        };
        Ok(Some(Impairment {
            uplink: way("up", up)?,
            downlink: way("down", down)?,
            nat: NatMapping {
                rebind_every: rebind_every.map(|Time(every)| every),
                ..NatMapping::default()
            },
            ..Impairment::default()
        }))
    }
}

impl WayTable {
    fn check(&self, field: &Field) -> Result<OneWay, Fault> {
        let share = |key: &str, share: &Option<Share>| match share {
            None => Ok(Probability::NEVER),
            Some(Share::Number(number)) => word::<Probability>(&number.to_string(), field, key),
            Some(Share::Text(text)) => word(text, field, key),
        };
        let jitter = self.jitter.as_deref();
        let rate = self.rate.as_deref();
        Ok(OneWay {
            loss: share("loss", &self.loss)?,
            duplicate: share("duplicate", &self.duplicate)?,
            reorder: share("reorder", &self.reorder)?,
            corrupt: share("corrupt", &self.corrupt)?,
            delay: self.delay.unwrap_or_default().0,
            jitter: jitter
                .map(|it| word::<Jitter>(it, field, "jitter"))
                .transpose()?,
            rate: rate
                .map(|it| word::<BitRate>(it, field, "rate"))
                .transpose()?,
            mtu_bytes: self.mtu_bytes,
            ..OneWay::default()
        })
    }
}

fn word<T: FromStr<Err = ImpairmentError>>(text: &str, of: &Field, key: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|fault: ImpairmentError| of.key(key).fault(fault.to_string()))
}
