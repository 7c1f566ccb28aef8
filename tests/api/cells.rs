//! `/api/v1/cells`.

use serde_json::json;

use crate::service::Service;

#[tokio::test]
async fn cells_are_listed_with_their_tiers_in_pages() {
    let service = Service::start().await;
    let answer = service.get("/api/v1/cells?limit=2").await;
    let cells = answer.expect(200);
    assert_eq!(cells.as_array().map(Vec::len), Some(2));
    assert_eq!(cells[0]["cell_id"], 10);
    let admission = json!({"mode": "per_class", "airtime_permille": null});
    assert_eq!(cells[0]["admission"], admission);
    let tier0 = json!({"tier": "0", "active": 3, "limit": 50, "queued": 0, "held": 0});
    assert_eq!(cells[0]["tiers"][0], tier0);
    assert_eq!(cells[0]["tiers"][3]["tier"], "unknown");
    assert_eq!(
        answer.header("link"),
        "</api/v1/cells?limit=2&cursor=20>; rel=\"next\""
    );
    let rest = service
        .get("/api/v1/cells?limit=2&cursor=20")
        .await
        .expect(200);
    assert_eq!(rest[0]["cell_id"], 30);
}

#[tokio::test]
async fn the_borders_of_the_tiers_are_shown_with_whose_they_are() {
    let service = Service::start().await;
    let shown = service.get("/api/v1/cells/tiers").await.expect(200);
    let ours = json!({
        "borders": {"rsrp_dbm": [-105, -115, -125], "sinr_db": [7, -3, -8]},
        "borders_origin": "narrowcast_default",
        "limits": {"0": 50, "1": 10, "2": 1, "unknown": 10},
    });
    assert_eq!(shown, ours);
}
