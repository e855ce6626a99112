//! What a Kafka broker needs to talk TLS and to know a user by SCRAM: a CA of its own, a certificate, a password.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{Ports, Progress, cache};

/// The user that the broker knows.
pub const USER: &str = "trader";
/// Its password: it begins like a number and has a `#`, as configuration files get wrong.
pub const PASSWORD: &str = "83517264#ab";
/// Guards key stores that live as long as one test.
const STORE_PASSWORD: &str = "test-store";
/// The broker's key store, below its working directory.
const STORE: &str = "server.p12";

/// How clients reach the secured listeners.
#[derive(Clone, Debug)]
pub struct Secured {
    /// `host:port` of TLS without a user.
    pub tls: String,
    /// `host:port` of SCRAM over TLS.
    pub sasl_tls: String,
    /// The certificate of the CA, PEM.
    pub ca_file: PathBuf,
}

/// Makes the key stores in `dir`, unless they are there.
pub(super) fn make_stores(dir: &Path, progress: &Progress) -> anyhow::Result<()> {
    let (ca, server) = (dir.join("ca.p12"), dir.join(STORE));
    if ca_file(dir).is_file() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    let (request, certificate) = (dir.join("server.csr"), dir.join("server.crt"));
    let half = dir.join("ca.half");
    let name = |file: &Path| file.display().to_string();
    let steps: [(&Path, Vec<String>); 6] = [
        (&ca, words("-genkeypair -alias ca -keyalg EC -dname CN=test-ca -ext bc:c")),
        (&ca, [words("-exportcert -rfc -alias ca -file"), vec![name(&half)]].concat()),
        (&server, words("-genkeypair -alias server -keyalg EC -dname CN=broker -ext san=ip:127.0.0.1")),
        (&server, [words("-certreq -alias server -file"), vec![name(&request)]].concat()),
        (
            &ca,
            [
                words("-gencert -rfc -alias ca -ext san=ip:127.0.0.1 -infile"),
                vec![name(&request), "-outfile".to_owned(), name(&certificate)],
            ]
            .concat(),
        ),
        (&server, [words("-importcert -noprompt -trustcacerts -alias ca -file"), vec![name(&half)]].concat()),
    ];
    for (store, arguments) in steps {
        keytool(store, &arguments, progress)?;
    }
    keytool(&server, &[words("-importcert -alias server -file"), vec![name(&certificate)]].concat(), progress)?;
    fs::rename(half, ca_file(dir)).context("keep the CA's certificate")
}

/// The certificate of the CA.
pub(super) fn ca_file(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// The argument of Kafka's `format` that makes the user.
pub(super) fn scram_argument() -> String {
    format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
}

/// Lines of `server.properties`: they stand after the plain ones, and the last one counts.
pub(super) fn properties(ports: Ports) -> String {
    let Ports { clients, controller, tls, sasl_tls } = ports;
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller},\
         SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl_tls}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{clients},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl_tls}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL\n\
         sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         ssl.keystore.type=PKCS12\n\
         ssl.keystore.location={store}\n\
         ssl.keystore.password={STORE_PASSWORD}\n\
         ssl.key.password={STORE_PASSWORD}\n",
        store = STORE,
    )
}

fn keytool(store: &Path, arguments: &[String], progress: &Progress) -> anyhow::Result<()> {
    let mut command = Command::new("keytool");
    command.args(arguments).arg("-keystore").arg(store);
    command.args(["-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
    // It says what it does on stderr.
    let quiet: Progress = std::sync::Arc::new(|_| {});
    cache::run(command, "keytool", &quiet).inspect_err(|error| progress(&format!("keytool: {error:#}")))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
