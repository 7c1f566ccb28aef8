//! What operators ask of devices, and what devices send of their own.

use bytes::Bytes;
use narrowcast::model::{
    DeviceAnswer, DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState,
    NewDeviceRequest, Record, Uplink,
};
use narrowcast::store::Store;

use crate::is_not_found;
use crate::samples::{endpoint, page, page_after, utc};

for_each_store! {
    the_last_word_on_a_request_counts,
    a_devices_requests_are_listed_by_number_in_pages,
    uplinks_are_newest_first_and_as_many_as_were_to_be_kept,
}

pub(crate) fn request(number: u32, id: u64, state: DeviceRequestState) -> DeviceRequest {
    DeviceRequest {
        id: DeviceRequestId(id),
        asked: NewDeviceRequest {
            endpoint: endpoint(number),
            operation: DeviceOperation::Write,
            path: "/19/1/0".to_owned(),
            content: Bytes::from_static(b"\x00\xff"),
            expires_at: utc(5),
        },
        state,
        answer: (state == DeviceRequestState::Done).then(|| DeviceAnswer {
            coap_code: 68,
            content_format: Some(65_535),
            content: Bytes::from(vec![9; usize::try_from(id).unwrap() % 5]),
        }),
        detail: "读".to_owned(),
        created_at: utc(1),
        ended_at: state.is_final().then(|| utc(2)),
    }
}

pub(crate) fn uplink(number: u32, at: i64, kept: u32) -> Record {
    Record::Uplink {
        uplink: sent(number, at),
        kept,
    }
}

fn sent(number: u32, at: i64) -> Uplink {
    Uplink {
        endpoint: endpoint(number),
        at: utc(at),
        payload: Bytes::from(at.to_be_bytes().to_vec()),
    }
}

async fn the_last_word_on_a_request_counts(store: &dyn Store) {
    use DeviceRequestState::{Done, Queued, Sent};
    let put = |number, id, state| Record::DeviceRequest(request(number, id, state));
    let forgotten = |number, id| Record::DeviceRequestForgotten {
        endpoint: endpoint(number),
        id: DeviceRequestId(id),
    };
    let records = vec![
        put(1, 7, Queued),
        put(1, 7, Sent),
        put(2, 8, Queued),
        forgotten(2, 8),
        forgotten(1, 9),
        put(1, 9, Queued),
    ];
    store.commit(records).await.unwrap();
    let found = store.device_request(&endpoint(1), DeviceRequestId(7)).await;
    assert_eq!(found.unwrap(), request(1, 7, Sent));
    let missing = |number, id| {
        let endpoint = endpoint(number);
        async move { is_not_found(store.device_request(&endpoint, DeviceRequestId(id)).await) }
    };
    assert!(missing(2, 8).await);
    // Another device's number is not this one's.
    assert!(missing(2, 7).await);
    store.commit(vec![put(1, 7, Done)]).await.unwrap();
    let restored = store.restore().await.unwrap().device_requests;
    assert_eq!(restored, [request(1, 7, Done), request(1, 9, Queued)]);
    // Many at once take every size of statement.
    let many = (100..500).map(|id| put(3, id, Done)).collect();
    store.commit(many).await.unwrap();
    let mut records: Vec<_> = (100..500).map(|id| forgotten(3, id)).collect();
    records.push(forgotten(1, 9));
    store.commit(records).await.unwrap();
    let restored = store.restore().await.unwrap().device_requests;
    assert_eq!(restored, [request(1, 7, Done)]);
}

async fn a_devices_requests_are_listed_by_number_in_pages(store: &dyn Store) {
    let state = DeviceRequestState::Queued;
    let put = |number, id| Record::DeviceRequest(request(number, id, state));
    let records = vec![put(1, 10), put(2, 3), put(1, 2), put(1, 9)];
    store.commit(records).await.unwrap();
    let first = store.device_requests(&endpoint(1), page(2)).await.unwrap();
    assert_eq!(first, [request(1, 2, state), request(1, 9, state)]);
    let rest = store.device_requests(&endpoint(1), page_after(9, 9)).await;
    assert_eq!(rest.unwrap(), [request(1, 10, state)]);
    let none = store.device_requests(&endpoint(4), page(9)).await.unwrap();
    assert_eq!(none, []);
}

async fn uplinks_are_newest_first_and_as_many_as_were_to_be_kept(store: &dyn Store) {
    let first = (0..5).flat_map(|at| [uplink(1, at, 3), uplink(2, at, 9)]);
    store.commit(first.collect()).await.unwrap();
    let kept = store.uplinks(&endpoint(1), 9).await.unwrap();
    assert_eq!(kept, [sent(1, 4), sent(1, 3), sent(1, 2)]);
    assert_eq!(store.uplinks(&endpoint(2), 9).await.unwrap().len(), 5);
    let newest = store.uplinks(&endpoint(2), 1).await.unwrap();
    assert_eq!(newest, [sent(2, 4)]);
    // The setting was raised, then lowered.
    store.commit(vec![uplink(1, 5, 4)]).await.unwrap();
    assert_eq!(store.uplinks(&endpoint(1), 9).await.unwrap().len(), 4);
    store.commit(vec![uplink(1, 6, 1)]).await.unwrap();
    let kept = store.uplinks(&endpoint(1), 9).await.unwrap();
    assert_eq!(kept, [sent(1, 6)]);
    // One commit that is longer than what is kept.
    let many = (100..400).map(|at| uplink(1, at, 16)).collect();
    store.commit(many).await.unwrap();
    let kept = store.uplinks(&endpoint(1), 99).await.unwrap();
    let expected: Vec<_> = (384..400).rev().map(|at| sent(1, at)).collect();
    assert_eq!(kept, expected);
    assert_eq!(store.uplinks(&endpoint(3), 9).await.unwrap(), []);
}
