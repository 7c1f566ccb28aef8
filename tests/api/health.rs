//! `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use narrowcast::clock::SystemClock;
use narrowcast::http::{
    DownloadBases, EventHub, EventLimits, HttpLimits, HttpParts, HttpState, LinkBases, LinkLimits,
    Links, LiveView, engine_channel, router,
};
use narrowcast::model::{EndpointName, ProductSettings};
use narrowcast::store::{BlobStore, MemoryStore};
use reqwest::Method;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::service::{Service, send};
use crate::verifier::TextVerifier;

#[tokio::test]
async fn a_service_whose_store_and_engine_answer_is_ready() {
    let service = Service::start().await;
    service.get("/healthz").await.expect(200);
    service.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_service_whose_engine_has_ended_is_alive_and_not_ready() {
    let (engine, requests) = engine_channel(1, Duration::from_secs(5));
    drop(requests);
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = PrometheusBuilder::new().build_recorder();
    let store = Arc::new(MemoryStore::default());
    let package_bytes = BlobStore::open(folder.path(), 0).expect("a folder");
    let links = Links::load(store.clone(), package_bytes.clone(), LinkLimits::default());
    let (_stop, stopped) = watch::channel(false);
    let router = router(HttpState::new(HttpParts {
        events: Arc::new(EventHub::new(
            EventLimits::default(),
            String::new(),
            Default::default(),
            stopped,
        )),
        links: Arc::new(links.await.expect("a store")),
        link_bases: LinkBases::default(),
        store,
        package_bytes,
        verifier: Arc::new(TextVerifier::default()),
        engine,
        live: Arc::new(LiveView::default()),
        clock: SystemClock::new(),
        metrics: metrics.handle(),
        product: ProductSettings::default(),
        download_bases: DownloadBases {
            coap: true,
            http: false,
        },
        tiers: Default::default(),
        metrics_public: false,
        parse_endpoint: EndpointName::parse,
        limits: HttpLimits::default(),
    }));
    for (path, status) in [("/healthz", 200), ("/readyz", 503)] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 503
        );
    }
}

#[tokio::test]
async fn metrics_need_a_token_unless_they_are_public() {
    let service = Service::start().await;
    let answer = send(service.anonymous(Method::GET, "/metrics")).await;
    answer.problem(401, "unauthenticated", None);
    let answer = service.get("/metrics").await;
    answer.expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );

    let service = Service::start_with(HttpLimits::default(), true).await;
    send(service.anonymous(Method::GET, "/metrics"))
        .await
        .expect(200);
}
