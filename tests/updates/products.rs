//! A product's own settings, by the real server and a device that nobody here wrote.

use narrowcast::coap::{Code, Message, OptionNumber};
use serde_json::json;

use crate::bench::{Bench, check_succeeded};
use crate::device::Stack;
use crate::relay::Relay;
use crate::rest::{DEVICE_TYPE, MANUFACTURER, MODEL};
use crate::server::SHORT_TIMES;

/// Whether it asks to observe the Result.
fn observes_result(message: &Message) -> bool {
    let segments = message.options.all(OptionNumber::URI_PATH);
    let segments: Vec<_> = segments.map(|it| it.to_vec()).collect();
    message.code == Code::GET
        && message.options.uint(OptionNumber::OBSERVE) == Some(0)
        && segments == [b"5".to_vec(), b"0".to_vec(), b"5".to_vec()]
}

#[tokio::test]
async fn the_settings_of_a_profile_reach_its_devices_over_a_restart_too() {
    for (with_profile, restarted) in [(false, false), (true, false), (true, true)] {
        let mut bench = Bench::new(SHORT_TIMES).await;
        if with_profile {
            let profile = json!({"devices": [{
                "deviceType": DEVICE_TYPE, "manufacturerName": MANUFACTURER, "model": MODEL,
                "protocolType": "CoAP",
                "omCapability": {"fwUpgradeCapability": {
                    "supportUpgrade": true, "upgradeProtocolType": "LWM2M",
                    "downloadProtocolType": "CoAP",
                }},
            }]});
            bench.rest.post("/profiles", &profile).await;
            let settings = json!({ "quirks": "wakaama" });
            bench.rest.put("/profiles/1/settings", &settings).await;
        }
        if restarted {
            bench.server.kill();
            bench.server.restart();
            bench.rest = bench.server.rest();
        }
        let relay = Relay::start(bench.server.coap()).await;
        let mut device = bench.device_at(Stack::Wakaama, relay.address(), &[]).await;
        check_succeeded(&bench.update().await, None);
        bench.check_installed_once(&mut device);
        let said = relay.said();
        let mut by_server = said.iter().filter(|said| !said.by_device);
        let observed = by_server.any(|said| observes_result(&said.message));
        assert_eq!(observed, with_profile, "restarted: {restarted}");
    }
}
