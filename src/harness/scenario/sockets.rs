//! What of a scenario goes on real sockets, and how it is told to a server of ours. Sans-IO.

use serde_json::{Map, Value};

use super::error::{Fault, Field};
use super::persona::Sleep;
use super::{Happening, Mix, Scenario, ScenarioError};
use crate::coap::TransmissionParameters;

/// Fields of `[campaign]` that are about the run; the others are those of `POST /api/v1/campaigns`.
const ABOUT_THE_RUN: [&str; 3] = ["image_bytes", "at", "retry_failed_every"];

impl Scenario {
    /// Whether its devices can be run on real sockets, their own timers so many times faster.
    ///
    /// # Errors
    /// The first thing that needs the virtual clock, with its line.
    pub fn check_for_sockets(&self, speed: u16) -> Result<(), ScenarioError> {
        let faults = [
            self.events_for_sockets(),
            self.paths_for_sockets(),
            self.speed_for_sockets(speed),
        ];
        let fault = faults.into_iter().find_map(Result::err);
        fault.map_or(Ok(()), |fault| Err(fault.located(&self.text)))
    }

    /// What it says of its campaign, as `POST /api/v1/campaigns` takes it; empty where there is none.
    pub fn campaign_fields(&self) -> Map<String, Value> {
        // It was read once already.
        let table: toml::Table = toml::from_str(&self.text).unwrap_or_default();
        let campaign = table.get("campaign").and_then(toml::Value::as_table);
        let fields = campaign.into_iter().flatten();
        let fields = fields.filter(|(key, _)| !ABOUT_THE_RUN.contains(&key.as_str()));
        fields
            .filter_map(|(key, value)| Some((key.clone(), serde_json::to_value(value).ok()?)))
            .collect()
    }

    fn events_for_sockets(&self) -> Result<(), Fault> {
        // In the order of the file.
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.number);
        for event in events {
            let what = match event.what {
                Happening::PowerCut { .. } | Happening::CellOutage { .. } | Happening::NatFlush => {
                    continue;
                }
                Happening::ServerRestart { .. } => "restart the server",
                Happening::TimeJump { .. } => "set the server's clock",
            };
            let told = format!(
                "a run on real sockets cannot {what}: take the event out, or rehearse it with \
                 `narrowcast simulate`"
            );
            let number = usize::try_from(event.number).unwrap_or(usize::MAX);
            return Err(Field::of("event").index(number).key("do").fault(told));
        }
        Ok(())
    }

    fn paths_for_sockets(&self) -> Result<(), Fault> {
        let mut mixes = self.mixes.iter();
        let Some(number) = mixes.position(|mix| mix.impairment.is_some()) else {
            return Ok(());
        };
        let told = "a run on real sockets makes no path worse: take it out and put `narrowcast impair` \
                    between devices and server, or rehearse it with `narrowcast simulate`";
        Err(Field::of("mix").index(number).key("impairment").fault(told))
    }

    /// No two contacts of a device that sleeps between them may come to lie in one exchange of the server's.
    fn speed_for_sockets(&self, speed: u16) -> Result<(), Fault> {
        let exchange = TransmissionParameters::default().max_transmit_wait();
        let mixes = self.mixes.iter().enumerate();
        let sleeps = |mix: &Mix| mix.traits.sleep.unwrap_or_default() == Sleep::Psm;
        let mixes = mixes.filter(|(_, mix)| mix.weight > 0 && sleeps(mix));
        let shortest = mixes.min_by_key(|(_, mix)| mix.uplink.shortest());
        let Some((number, mix)) = shortest else {
            return Ok(());
        };
        let interval = mix.uplink.shortest();
        if speed <= 1 || interval / u32::from(speed) >= exchange {
            return Ok(());
        }
        let most = (interval.as_secs() / exchange.as_secs().max(1)).max(1);
        let told = format!(
            "at speed {speed} a device of mix \"{}\" speaks each {} s, and the server may send again for \
             {} s what it asked at the contact before (MAX_TRANSMIT_WAIT, RFC 7252 section 4.8.2): take a \
             speed of at most {most}, or a longer interval",
            mix.name,
            (interval / u32::from(speed)).as_secs(),
            exchange.as_secs(),
        );
        Err(Field::of("mix").index(number).key("uplink").fault(told))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIXES: &str = "[devices]\ncount = 2\n[[mix]]\nname = \"a\"\n\
                         uplink = { pattern = \"interval\", every = \"2h\" }\n";

    fn scenario(rest: &str) -> Scenario {
        Scenario::parse(&format!("{MIXES}{rest}")).unwrap()
    }

    fn refused(scenario: &Scenario, speed: u16) -> (usize, String) {
        let error = scenario.check_for_sockets(speed).unwrap_err();
        (error.line, error.to_string())
    }

    #[test]
    fn what_needs_the_virtual_clock_is_refused_with_its_line() {
        let restart = scenario(
            "[[event]]\nat = \"2h\"\ndo = \"nat_flush\"\n[[event]]\nat = \"1h\"\ndo = \"server_restart\"\n",
        );
        let (line, told) = refused(&restart, 1);
        assert_eq!(line, 11);
        assert!(
            told.contains("event[1].do") && told.contains("restart"),
            "{told}"
        );
        let jump = scenario("[[event]]\nat = \"1h\"\ndo = \"time_jump\"\nby = \"2h\"\n");
        assert_eq!(refused(&jump, 1).0, 8);
        let path = scenario("impairment = { both = { loss = 0.1 } }\n");
        let (line, told) = refused(&path, 1);
        assert_eq!(line, 6);
        assert!(told.contains("narrowcast impair"), "{told}");
        let events = "[[event]]\nat = \"1h\"\ndo = \"power_cut\"\n\
                      [[event]]\nat = \"1h\"\ndo = \"cell_outage\"\nfor = \"1m\"\n";
        scenario(events).check_for_sockets(1).unwrap();
    }

    #[test]
    fn a_speed_that_puts_two_contacts_into_one_exchange_is_refused_with_the_most_there_may_be() {
        let hourly = scenario(
            "[[mix]]\nname = \"b\"\nuplink = { pattern = \"interval\", every = \"1h\" }\n",
        );
        hourly.check_for_sockets(38).unwrap();
        let (line, told) = refused(&hourly, 39);
        assert_eq!(line, 8);
        assert!(
            told.contains("each 92 s") && told.contains("for 93 s"),
            "{told}"
        );
        assert!(told.contains("at most 38"), "{told}");
        let awake = scenario(
            "traits = { sleep = \"never\" }\n[[mix]]\nweight = 0\n\
             uplink = { pattern = \"interval\", every = \"1m\" }\n",
        );
        awake.check_for_sockets(1000).unwrap();
    }

    #[test]
    fn a_campaign_is_told_in_its_own_words_without_what_is_about_the_run() {
        let text = "[campaign]\nimage_bytes = \"20KB\"\nat = \"1h\"\nstarts_per_minute_max = 30\n\
                    retry = { retries_max = 3 }\n\
                    [[campaign.window]]\ntime_zone = \"UTC\"\nfrom_hour = 1\nto_hour = 5\n";
        let expected = json!({
            "starts_per_minute_max": 30,
            "retry": { "retries_max": 3 },
            "window": [{ "time_zone": "UTC", "from_hour": 1, "to_hour": 5 }],
        });
        assert_eq!(Value::Object(scenario(text).campaign_fields()), expected);
        assert!(scenario("").campaign_fields().is_empty());
    }
}
