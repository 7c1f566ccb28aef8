//! Which metrics there are, what each means, and what can be asked of each. Sans-IO.

use std::fmt;

/// What kind of values a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A share of all.
    Rate,
    /// Times.
    Trend,
}

/// What the values are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Microseconds; in a trend, of any length.
    Time,
    /// Bytes.
    Bytes,
    /// A share from 0 to 1.
    Share,
}

/// What a threshold asks of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The most.
    Max,
    /// The median.
    Med,
    /// A percentile, 0 to 100.
    Percentile(f64),
    /// How much of a counter there is.
    Count,
    /// Of a counter: how much a second. Of a rate: the share.
    Rate,
    /// A gauge's last.
    Value,
}

impl Kind {
    /// What can be asked of it, in the words of the grammar.
    pub const fn aggregates(self) -> &'static str {
        match self {
            Self::Counter => "count, rate",
            Self::Gauge => "value, min, max",
            Self::Rate => "rate, avg",
            Self::Trend => "avg, min, max, med, p(N)",
        }
    }

    /// Whether this can be asked of it. The mean of a rate is its share.
    pub const fn takes(self, aggregate: Aggregate) -> bool {
        match aggregate {
            Aggregate::Avg => matches!(self, Self::Trend | Self::Rate),
            Aggregate::Min | Aggregate::Max => matches!(self, Self::Trend | Self::Gauge),
            Aggregate::Med | Aggregate::Percentile(_) => matches!(self, Self::Trend),
            Aggregate::Count => matches!(self, Self::Counter),
            Aggregate::Rate => matches!(self, Self::Counter | Self::Rate),
            Aggregate::Value => matches!(self, Self::Gauge),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Avg => f.write_str("avg"),
            Self::Min => f.write_str("min"),
            Self::Max => f.write_str("max"),
            Self::Med => f.write_str("med"),
            Self::Percentile(percent) => write!(f, "p({percent})"),
            Self::Count => f.write_str("count"),
            Self::Rate => f.write_str("rate"),
            Self::Value => f.write_str("value"),
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name in scenarios and results.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// What they are in.
    pub unit: Unit,
    /// The labels that its series have.
    pub labels: &'static [&'static str],
    /// What it is, in English.
    pub en: &'static str,
    /// 中文.
    pub zh: &'static str,
}

impl Definition {
    /// The metric of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        METRICS.iter().find(|metric| metric.name == name)
    }
}

const fn metric(
    name: &'static str,
    (kind, unit): (Kind, Unit),
    labels: &'static [&'static str],
    en: &'static str,
    zh: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        unit,
        labels,
        en,
        zh,
    }
}

const CE: &[&str] = &["ce"];
const CELL: &[&str] = &["cell", "tier"];
const TIME: (Kind, Unit) = (Kind::Trend, Unit::Time);
const COUNT: (Kind, Unit) = (Kind::Counter, Unit::Count);
const SHARE: (Kind, Unit) = (Kind::Rate, Unit::Share);
const LEVEL: (Kind, Unit) = (Kind::Gauge, Unit::Count);

/// All metrics, in the order of their names.
pub const METRICS: &[Definition] = &[
    metric(
        "block.received",
        COUNT,
        CE,
        "blocks of images that devices took",
        "终端收到的固件分块数",
    ),
    metric(
        "campaign.success_rate",
        SHARE,
        &[],
        "share of all devices that run the new version at the end",
        "结束时已运行新版本的终端比例",
    ),
    metric(
        "cell.active",
        LEVEL,
        CELL,
        "devices of one cell and tier between URI and result at once",
        "同一小区同一覆盖等级同时升级的终端数",
    ),
    metric(
        "cell.active_outside_window",
        LEVEL,
        &[],
        "devices at an update that began outside of the push windows",
        "在推送时段外开始升级的终端数",
    ),
    metric(
        "coap.gave_up",
        COUNT,
        CE,
        "messages that devices gave up after the last retransmission",
        "终端重传到上限后放弃的报文数",
    ),
    metric(
        "coap.retransmit_ratio",
        SHARE,
        CE,
        "share of the devices' confirmable datagrams that were retransmissions",
        "终端可确认报文中重传的比例",
    ),
    metric(
        "coap.retransmitted",
        COUNT,
        CE,
        "datagrams that devices sent again",
        "终端重传的报文数",
    ),
    metric(
        "coap.round_trip",
        TIME,
        CE,
        "from a device's first transmission to its answer",
        "从终端首次发送到收到应答的时间",
    ),
    metric(
        "coap.sent",
        COUNT,
        CE,
        "messages that devices sent, without retransmissions",
        "终端发送的报文数（不含重传）",
    ),
    metric(
        "device.awake",
        TIME,
        CE,
        "how long a device's radio was on in the whole rehearsal",
        "整个仿真期间终端的清醒时长",
    ),
    metric(
        "device.double_execute",
        COUNT,
        &[],
        "Executes that a device took while it installed, or of an image that it had installed",
        "终端在安装中或安装后再次收到的执行升级命令",
    ),
    metric(
        "device.download",
        TIME,
        CE,
        "from the acceptance of the URI to the whole image",
        "从接受下载地址到收全固件的时间",
    ),
    metric(
        "device.lost_update",
        COUNT,
        &[],
        "devices still at an update when all was said to be done",
        "任务全部结束时仍停在升级中的终端",
    ),
    metric(
        "device.register",
        TIME,
        CE,
        "from power-on, or from a registration lost, to the registration",
        "从上电或注册失效到注册成功的时间",
    ),
    metric(
        "device.retry_gap",
        TIME,
        &[],
        "from a failure to the next URI of the same device",
        "同一终端从失败到再次收到下载地址的时间",
    ),
    metric(
        "device.second_flash",
        COUNT,
        &[],
        "flashes of a version that the device had flashed before",
        "终端重复烧写同一版本的次数",
    ),
    metric(
        "device.update",
        TIME,
        CE,
        "from the first acceptance of a URI to success",
        "从首次接受下载地址到升级成功的时间",
    ),
    metric(
        "registration.failed",
        COUNT,
        &[],
        "registrations that were refused or not answered",
        "被拒绝或无应答的注册更新次数",
    ),
    metric(
        "server.cpu_per_block",
        (Kind::Gauge, Unit::Time),
        &[],
        "the server's CPU time for each block that a device took, in microseconds",
        "每个分块消耗的服务器 CPU 时间（微秒）",
    ),
    metric(
        "server.rss",
        (Kind::Gauge, Unit::Bytes),
        &[],
        "the server's resident memory",
        "服务器常驻内存",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_each_stands_once() {
        let names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }
}
