//! What is asked of a metric, as one number. Sans-IO.

use std::time::Duration;

use super::{Aggregate, Definition, Kind, Labels, Metrics, Trend, Value};

impl Metrics {
    /// What a metric comes to over all series with these labels, in its unit; `None` where nothing was
    /// measured. Of gauges it is the least or the most of any, and the greatest of the last values.
    pub fn figure(
        &self,
        metric: &Definition,
        labels: &Labels,
        aggregate: Aggregate,
    ) -> Option<f64> {
        match metric.kind {
            Kind::Counter => {
                let count = self.count_over(metric.name, labels)? as f64;
                if aggregate == Aggregate::Rate {
                    let seconds = self.lasted().as_secs_f64();
                    return (seconds > 0.0).then(|| count / seconds);
                }
                Some(count)
            }
            Kind::Rate => {
                let (hits, all) = self.rate_over(metric.name, labels)?;
                (all > 0).then(|| hits as f64 / all as f64)
            }
            Kind::Trend => {
                let took = self.trend_over(metric.name, labels)?.figure(aggregate)?;
                Some(took.as_micros() as f64)
            }
            Kind::Gauge => self.of_gauges(metric.name, labels, aggregate),
        }
    }

    fn of_gauges(&self, name: &str, labels: &Labels, aggregate: Aggregate) -> Option<f64> {
        let gauges = self.matching(name, labels);
        let gauges = gauges.filter_map(|(_, gauge)| match gauge {
            Value::Gauge { value, min, max } => Some((*value, *min, *max)),
            Value::Counter { .. } | Value::Rate { .. } | Value::Trend(_) => None,
        });
        let of_all = match aggregate {
            Aggregate::Min => gauges.map(|(_, min, _)| min).min(),
            Aggregate::Max => gauges.map(|(_, _, max)| max).max(),
            Aggregate::Value => gauges.map(|(value, _, _)| value).max(),
            Aggregate::Avg
            | Aggregate::Med
            | Aggregate::Percentile(_)
            | Aggregate::Count
            | Aggregate::Rate => None,
        };
        of_all.map(|value| value as f64)
    }
}

impl Trend {
    /// What is asked of times; `None` where there are none, or it is asked of other kinds only.
    pub fn figure(&self, aggregate: Aggregate) -> Option<Duration> {
        match aggregate {
            Aggregate::Avg => self.mean(),
            Aggregate::Min => self.min(),
            Aggregate::Max => self.max(),
            Aggregate::Med => self.percentile(50.0),
            Aggregate::Percentile(percent) => self.percentile(percent),
            Aggregate::Count | Aggregate::Rate | Aggregate::Value => None,
        }
    }
}
