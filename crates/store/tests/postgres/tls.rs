//! Encryption: to a server with a certificate of an authority that is trusted, and to no other.

use std::error::Error;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use store::{DatabaseUrl, PostgresStore, Store, StoreError};
use testkit::postgres::PostgresServer;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate is for this name, signed by the authority.
fn server(authority: &Authority, name: &str) -> PostgresServer {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    PostgresServer::start_encrypted(&certificate.pem(), &key.serialize_pem())
}

fn url(server: &PostgresServer, options: &str) -> DatabaseUrl {
    let url = server.database().replace("sslmode=disable", options);
    url.parse().unwrap()
}

fn kept(authority: &Authority, directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, authority.pem()).unwrap();
    path
}

/// Why a store does not open, to the last cause.
async fn refusal(url: &DatabaseUrl) -> String {
    let error: StoreError = PostgresStore::open(url).await.map(drop).unwrap_err();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said += &format!(": {error}");
        cause = error.source();
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_to_whom_the_authority_vouches_for() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority();
    let ca = kept(&authority, directory.path(), "ca.pem");
    let server = server(&authority, "127.0.0.1");
    let encrypted = "SELECT count(*) FILTER (WHERE s.ssl) || ' of ' || count(*) FROM pg_stat_activity AS a
         JOIN pg_stat_ssl AS s USING (pid) WHERE a.application_name = 'rotunda'";
    for mode in ["require", "verify-full"] {
        let url = url(&server, &format!("sslmode={mode}&sslrootcert={}", ca.display()));
        let store = PostgresStore::open(&url).await.unwrap();
        store.check().await.unwrap();
        let told = server.sql("postgres", encrypted);
        let (those, all) = told.split_once(" of ").unwrap();
        assert!(those == all && all.parse::<u32>().unwrap() >= 3, "{told}");
        drop(store);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_vouched_for_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let ours = authority();
    let ca = kept(&ours, directory.path(), "ca.pem");
    let other = kept(&authority(), directory.path(), "other.pem");
    let with = |path: &Path| format!("sslmode=require&sslrootcert={}", path.display());
    let signed = server(&ours, "127.0.0.1");

    let said = refusal(&url(&signed, &with(&other))).await;
    assert!(
        said.starts_with("the database cannot be reached: its certificate is not trusted (invalid peer certificate: ")
            && said.contains("sslrootcert in the URL"),
        "{said}"
    );
    // The system's authorities do not know it either.
    let said = refusal(&url(&signed, "sslmode=require")).await;
    assert!(
        said.contains("its certificate is not trusted (invalid peer certificate: UnknownIssuer)"),
        "{said}"
    );
    // A good certificate, of another host.
    let elsewhere = server(&ours, "db.example.com");
    let said = refusal(&url(&elsewhere, &with(&ca))).await;
    assert!(
        said.contains("its certificate is not trusted (invalid peer certificate: certificate not valid for name"),
        "{said}"
    );
    // Nothing is sent in the open in its place.
    let open = PostgresServer::shared();
    let said = refusal(&url(open, &with(&ca))).await;
    assert!(said.ends_with("server does not support TLS"), "{said}");

    let missing = directory.path().join("missing.pem");
    let said = refusal(&url(&signed, &with(&missing))).await;
    assert!(
        said.contains(&format!(
            "the authorities' certificates in {} (sslrootcert) cannot be used: ",
            missing.display()
        )),
        "{said}"
    );
    std::fs::write(&missing, "nothing").unwrap();
    let said = refusal(&url(&signed, &with(&missing))).await;
    assert!(
        said.ends_with("(sslrootcert) cannot be used: it has no certificate"),
        "{said}"
    );
}
