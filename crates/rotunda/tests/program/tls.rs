//! HTTPS with an own certificate and with a throw-away authority.

use reqwest::{Certificate, Client};

use super::process::{FREE, Running, after, rotunda};

/// A client that trusts this authority only.
fn trusting(ca: &str) -> Client {
    Client::builder()
        .tls_certs_only([Certificate::from_pem(ca.as_bytes()).unwrap()])
        .build()
        .unwrap()
}

#[tokio::test]
async fn dev_makes_an_authority_that_clients_can_trust() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Running::start(
        rotunda(home.path())
            .env("TMPDIR", home.path())
            .args(["dev", "--tls"])
            .args(FREE),
    );
    let line = server.json();
    let http = line["http"].as_str().unwrap();
    assert!(http.starts_with("https://127.0.0.1:"), "{http}");
    assert!(line["signaling"].as_str().unwrap().starts_with("wss://127.0.0.1:"));
    let ca = std::fs::read_to_string(line["ca"].as_str().unwrap()).unwrap();
    assert!(ca.starts_with("-----BEGIN CERTIFICATE-----") && !ca.contains("PRIVATE KEY"));

    let client = trusting(&ca);
    let health = client.get(format!("{http}/healthz")).send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    let served = client.get(format!("{http}/ca.pem")).send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "application/x-x509-ca-cert");
    assert_eq!(served.text().await.unwrap(), ca);
    assert!(
        Client::new().get(format!("{http}/healthz")).send().await.is_err(),
        "others do not trust it"
    );
}

#[tokio::test]
async fn serve_takes_an_own_certificate() {
    let home = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (cert_file, key_file) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();

    let mut command = rotunda(home.path());
    command
        .arg("serve")
        .args(FREE)
        .arg("--tls-cert")
        .arg(&cert_file)
        .env("ROTUNDA_TLS_KEY", &key_file);
    let mut server = Running::start(&mut command);
    let url = after(&server.greeting(), "Open");
    let base = url.split("/#").next().unwrap();
    assert!(base.starts_with("https://127.0.0.1:"), "{base}");
    let health = trusting(&certificate.pem())
        .get(format!("{base}/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status().as_u16(), 200);
    server.terminate();
}
