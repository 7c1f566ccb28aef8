//! What coap-node and lwm2m-node-lib do that no specification says, seen on the wire while the server
//! updates them all the same.

use narrowcast::coap::{Code, ContentFormat, Message, MessageType, OptionNumber};
use narrowcast::lwm2m::{PackLimits, Value, decode_value, path};

use crate::bench::{Bench, check_succeeded};
use crate::device::{Device, Stack};
use crate::relay::{Relay, Said, ask};
use crate::server::SHORT_TIMES;

/// An update that succeeds, with all that was said.
struct Watched {
    _bench: Bench,
    _device: Device,
    relay: Relay,
    said: Vec<Said>,
}

impl Watched {
    async fn update(stack: Stack, options: &[&str]) -> Self {
        let bench = Bench::new(SHORT_TIMES).await;
        let relay = Relay::start(bench.server.coap()).await;
        let mut device = bench.device_at(stack, relay.address(), options).await;
        check_succeeded(&bench.update().await, None);
        bench.check_installed_once(&mut device);
        let watched = Self {
            said: relay.said(),
            relay,
            _bench: bench,
            _device: device,
        };
        println!(
            "{stack:?} {options:?}: {} messages by the device, {} of them notifications, {} by the server",
            watched.by_device().count(),
            watched.notifications().len(),
            watched.by_server().count(),
        );
        watched
    }

    fn by_device(&self) -> impl Iterator<Item = &Message> {
        let said = self.said.iter().filter(|said| said.by_device);
        said.map(|said| &said.message)
    }

    fn by_server(&self) -> impl Iterator<Item = &Message> {
        let said = self.said.iter().filter(|said| !said.by_device);
        said.map(|said| &said.message)
    }

    /// What the device registered with, first and after its reboot.
    fn registers(&self) -> [&Message; 2] {
        let registers: Vec<_> = self
            .by_device()
            .filter(|message| message.code == Code::POST)
            .collect();
        registers.try_into().unwrap()
    }

    /// Notifications beyond the answers to Observes.
    fn notifications(&self) -> Vec<&Message> {
        let is_notification = |message: &&Message| {
            message.kind != MessageType::Acknowledgement
                && message.code == Code::CONTENT
                && message.options.first(OptionNumber::OBSERVE).is_some()
        };
        self.by_device().filter(is_notification).collect()
    }

    /// The formats of all values that the device sent.
    fn formats(&self) -> Vec<Option<u32>> {
        let values = self
            .by_device()
            .filter(|message| message.code == Code::CONTENT && !message.payload.is_empty());
        let mut formats: Vec<_> = values
            .map(|message| message.options.uint(OptionNumber::CONTENT_FORMAT))
            .collect();
        assert!(formats.len() >= 6, "{formats:?}");
        formats.dedup();
        formats
    }
}

fn queries(message: &Message) -> Vec<&str> {
    let queries = message.options.all(OptionNumber::URI_QUERY);
    queries
        .map(|query| std::str::from_utf8(query).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn coap_node_registers_with_a_word_for_a_version_and_queries_and_links_of_its_own() {
    let watched = Watched::update(Stack::CoapNode, &["--lwm2m", "v1"]).await;
    for register in watched.registers() {
        let queries = queries(register);
        assert!(queries.contains(&"lwm2m=v1"), "{queries:?}");
        assert!(queries.iter().any(|query| query.starts_with("mac=")));
        let links = std::str::from_utf8(&register.payload).unwrap();
        assert!(links.starts_with("</>;ct=11543;hb,"), "{links}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coap_nodes_confirmable_notifications_are_each_acknowledged() {
    let watched = Watched::update(Stack::CoapNode, &[]).await;
    let [register, _] = watched.registers();
    assert!(queries(register).contains(&"lwm2m=1.0.0"));
    let notifications = watched.notifications();
    assert!(notifications.len() >= 2, "{notifications:?}");
    for notification in notifications {
        assert_eq!(notification.kind, MessageType::Confirmable);
        let acknowledgement = Message::empty(MessageType::Acknowledgement, notification.id);
        assert!(watched.by_server().any(|said| *said == acknowledgement));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coap_node_is_updated_in_text_in_tlv_and_in_json() {
    for (name, format) in [
        ("text/plain", ContentFormat::TEXT),
        ("application/tlv", ContentFormat::TLV),
        ("application/json", ContentFormat::JSON),
    ] {
        let watched = Watched::update(Stack::CoapNode, &["--answers", name]).await;
        assert_eq!(watched.formats(), [Some(format.0.into())], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coap_node_wraps_an_instance_that_is_read_in_an_instance() {
    let watched = Watched::update(Stack::CoapNode, &[]).await;
    let answer = ask(watched.relay.device(), "/5/0");
    let format = answer.options.uint(OptionNumber::CONTENT_FORMAT);
    assert_eq!(format, Some(ContentFormat::TLV.0.into()), "{answer:?}");
    // Bits 7 and 6 of the type: an object instance (LwM2M 1.0 §6.4.3).
    assert_eq!(answer.payload[0] >> 6, 0, "{answer:?}");
    for (path, value) in [(path::FIRMWARE_STATE, 0), (path::FIRMWARE_UPDATE_RESULT, 1)] {
        let format = Some(ContentFormat::TLV);
        let read = decode_value(path, format, &answer.payload, &PackLimits::DEFAULT);
        assert_eq!(read, Ok(Value::Integer(value)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lwm2m_node_lib_names_no_format_and_notifies_before_it_answers() {
    let watched = Watched::update(Stack::Lwm2mNodeLib, &[]).await;
    for register in watched.registers() {
        let format = register.options.first(OptionNumber::CONTENT_FORMAT);
        assert_eq!(format, None, "{register:?}");
    }
    assert_eq!(watched.formats(), [None]);

    let write = watched.by_server().find(|said| said.code == Code::PUT);
    let write = write.unwrap().id;
    let after = watched
        .by_device()
        .skip_while(|said| said.code != Code::CONTENT);
    let order: Vec<_> = after.map(|said| (said.kind, said.code, said.id)).collect();
    let answered = (MessageType::Acknowledgement, Code::CHANGED, write);
    let answer = order.iter().position(|said| *said == answered).unwrap();
    let (kind, code, _) = order[answer - 1];
    assert_eq!(
        (kind, code),
        (MessageType::Confirmable, Code::CONTENT),
        "{order:?}"
    );

    let instance = ask(watched.relay.device(), "/5/0");
    assert_eq!(instance.code, Code::NOT_FOUND, "{instance:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lwm2m_node_lib_never_answers_the_end_of_an_observation() {
    let watched = Watched::update(Stack::Lwm2mNodeLib, &[]).await;
    let ends = |said: &&Message| {
        said.code == Code::GET && said.options.uint(OptionNumber::OBSERVE) == Some(1)
    };
    let end = watched.by_server().find(ends).unwrap();
    let answers = |said: &Said| said.by_device && said.message.token == end.token;
    let sent = watched
        .said
        .iter()
        .position(|said| said.message == *end)
        .unwrap();
    assert!(!watched.said[sent..].iter().any(answers), "{end:?}");
    let acknowledgement = Message::empty(MessageType::Acknowledgement, end.id);
    assert!(watched.by_device().any(|said| *said == acknowledgement));
}
