//! What must hold for any bytes taken as a configuration file. Shared by the fuzz target and by the unit
//! tests of `shoalmq::config`, each of which brings the names of that module into scope.

use super::{Config, ConfigError, FileSource, Sources, rewritten};
use std::path::Path;

/// Loads `text`; if that works, rewriting it changes nothing, and a file made from what it said says the
/// same.
pub(super) fn check(text: &[u8]) {
    // An include would read files of this machine.
    if text
        .to_ascii_lowercase()
        .windows(7)
        .any(|window| window == b"include")
    {
        return;
    }
    let config = match load(text) {
        Ok(config) => config,
        Err(error) => {
            assert!(
                !error.to_string().contains('\n'),
                "an error is one line: {error}"
            );
            return;
        }
    };
    assert_eq!(
        rewrite(&config, text),
        text,
        "an unchanged configuration leaves its file alone"
    );
    let fresh = rewrite(&config, b"");
    assert_eq!(load(&fresh).expect("what was rewritten loads"), config);
    let default = Config::default();
    let reset = rewrite(&default, text);
    assert_eq!(load(&reset).expect("what was rewritten loads"), default);
    assert_eq!(
        rewrite(&default, &reset),
        reset,
        "rewriting again changes nothing"
    );
}

fn load(text: &[u8]) -> Result<Config, ConfigError> {
    let file = Some(FileSource::Text(text.to_vec()));
    Config::load(Sources {
        file,
        ..Sources::default()
    })
    .map(|loaded| loaded.config)
}

fn rewrite(config: &Config, text: &[u8]) -> Vec<u8> {
    rewritten(config, Path::new("any.conf"), text).expect("a text that loaded loads again")
}
