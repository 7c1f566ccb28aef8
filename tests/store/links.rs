//! Links to package files: entered, found, noted, ended, taken away, and told of in the audit log.

use narrowcast::model::{
    ByteRanges, DownloadLink, LinkId, LinkProgress, LinkState, PackageId, Sha256Digest,
};
use narrowcast::store::{SqliteStore, Store};

use crate::samples::{package, page, page_after, sqlite, stamp, utc};
use crate::{is_conflict, is_not_found};

for_each_store! {
    a_link_is_of_a_package_and_no_number_is_given_twice,
    what_was_fetched_is_noted_and_told_of_once_it_was_whole,
    a_link_is_ended_once,
}

fn link(package: PackageId, number: u8) -> DownloadLink {
    DownloadLink {
        id: LinkId(0),
        package,
        capability_sha256: Sha256Digest([number; 32]),
        file_name: "fota.pack".to_owned(),
        file_sha256: Sha256Digest([7; 32]),
        size_bytes: 1000,
        device: number.is_multiple_of(2).then(|| "水表 7".to_owned()),
        created_at: utc(0),
        expires_at: utc(60_000),
        budget_bytes: 3000,
        revoked_at: None,
        progress: LinkProgress::default(),
    }
}

async fn add(store: &dyn Store, package: PackageId, number: u8) -> LinkId {
    let link = link(package, number);
    store.add_link(link, stamp()).await.unwrap()
}

async fn add_package(store: &dyn Store, version: &str) -> PackageId {
    store.add_package(package(version), stamp()).await.unwrap()
}

fn fetched(parts: &[std::ops::Range<u64>], whole: bool) -> LinkProgress {
    let mut taken = ByteRanges::default();
    parts.iter().for_each(|part| taken.insert(part.clone()));
    LinkProgress {
        bytes_served: 1024,
        first_fetch_at: Some(utc(1)),
        last_fetch_at: Some(utc(2)),
        taken,
        served_whole_at: whole.then(|| utc(3)),
    }
}

async fn told(store: &dyn Store) -> Vec<(String, String, String)> {
    let entries = store.audit_entries(page(100)).await.unwrap();
    let of_links = entries.into_iter().filter(|entry| entry.kind == "link");
    of_links
        .map(|it| (it.action, it.object, it.actor))
        .collect()
}

async fn a_link_is_of_a_package_and_no_number_is_given_twice(store: &dyn Store) {
    let nothing = store.add_link(link(PackageId(1), 1), stamp()).await;
    assert!(is_not_found(nothing));
    let (one, other) = (
        add_package(store, "V1").await,
        add_package(store, "V2").await,
    );
    let first = add(store, one, 1).await;
    let second = add(store, other, 2).await;
    assert!(is_conflict(store.add_link(link(one, 2), stamp()).await));
    let third = add(store, one, 3).await;
    let ids = |links: Vec<DownloadLink>| links.into_iter().map(|it| it.id).collect::<Vec<_>>();
    let all = store.links(None, page(9)).await.unwrap();
    assert_eq!(ids(all), [first, second, third]);
    let of_one = store.links(Some(one), page(9)).await.unwrap();
    assert_eq!(
        of_one[0],
        DownloadLink {
            id: first,
            ..link(one, 1)
        }
    );
    assert_eq!(ids(of_one), [first, third]);
    let rest = store
        .links(Some(one), page_after(first.0, 9))
        .await
        .unwrap();
    assert_eq!(ids(rest), [third]);
    store.remove_links(vec![third, first, third]).await.unwrap();
    let left = store.links(None, page(9)).await.unwrap();
    assert_eq!(
        left,
        [DownloadLink {
            id: second,
            ..link(other, 2)
        }]
    );
    assert!(add(store, one, 4).await > third);
}

async fn what_was_fetched_is_noted_and_told_of_once_it_was_whole(store: &dyn Store) {
    let package = add_package(store, "V1").await;
    let id = add(store, package, 1).await;
    let gone = LinkId(id.0 + 1);
    for (parts, whole, state) in [
        (&[0..512, 600..1000][..], false, LinkState::Downloading),
        (&[0..600, 600..1000], true, LinkState::ServedWhole),
        (&[0..600, 600..1000], true, LinkState::ServedWhole),
    ] {
        let news = fetched(parts, whole);
        let both = vec![(id, news.clone()), (gone, news.clone())];
        store.note_links(both).await.unwrap();
        let stored = store.links(None, page(9)).await.unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].progress, news);
        assert_eq!(stored[0].state(utc(5)), state);
    }
    let told = told(store).await;
    let expected = [("link_created", "cli"), ("link_served_whole", "server")];
    let expected =
        expected.map(|(action, by)| (action.to_owned(), id.0.to_string(), by.to_owned()));
    assert_eq!(told, expected);
}

async fn a_link_is_ended_once(store: &dyn Store) {
    let package = add_package(store, "V1").await;
    let id = add(store, package, 2).await;
    assert!(is_not_found(
        store.revoke_link(LinkId(id.0 + 1), stamp()).await
    ));
    store.revoke_link(id, stamp()).await.unwrap();
    assert!(is_not_found(store.revoke_link(id, stamp()).await));
    let stored = store.links(Some(package), page(9)).await.unwrap();
    assert_eq!(stored[0].revoked_at, Some(stamp().at));
    let told = told(store).await;
    let actions: Vec<_> = told.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(actions, ["link_created", "link_revoked"]);
}

#[tokio::test]
async fn links_are_there_after_a_restart() {
    let (folder, store) = sqlite().await;
    let package = add_package(&store, "V1").await;
    let id = add(&store, package, 2).await;
    let news = fetched(&[0..10, 20..30], false);
    store.note_links(vec![(id, news.clone())]).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&folder.path().join("store.db"))
        .await
        .unwrap();
    let expected = DownloadLink {
        id,
        progress: news,
        ..link(package, 2)
    };
    assert_eq!(store.links(None, page(9)).await.unwrap(), [expected]);
}
