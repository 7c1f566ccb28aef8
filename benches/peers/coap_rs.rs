//! `coap-rs-server PORT FILE`: /tiny and /image by crates.io's `coap`, as its README shows it. Built by
//! `benches/peers/run` in a package of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use coap::Server;
use coap_lite::CoapRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap();
    let image = Arc::new(std::fs::read(arguments.next().unwrap()).unwrap());
    let server = Server::new_udp(format!("127.0.0.1:{port}")).unwrap();
    server
        .run(move |mut request: Box<CoapRequest<SocketAddr>>| {
            let image = Arc::clone(&image);
            async move {
                let path = request.get_path();
                if let Some(response) = &mut request.response {
                    response.message.payload = match path.as_str() {
                        "image" => image.to_vec(),
                        _ => b"22.5 C".to_vec(),
                    };
                }
                request
            }
        })
        .await
        .unwrap();
}
