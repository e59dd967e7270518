//! The prompt: lines from a person, until quit.
//!
//! Ctrl-C clears a line that is being typed, and gives up a command that waits for its reply: the
//! prompt drops the connection, the only way to take a blocked command back, and connects again.

use std::path::PathBuf;
use std::process::ExitCode;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::CliError;
use super::format::{self, Format, Shape};
use super::help::{Catalogue, CommandHelp};
use super::session::{self, Session};
use shoalmq_client::ConnectionError;

/// Lines that the history keeps.
const HISTORY_LINES: usize = 1000;

type LineEditor = Editor<Catalogue, FileHistory>;

/// Asks for lines and carries them out until the person leaves.
pub(super) async fn run(
    format: Format,
    mut session: Session,
    commands: Vec<CommandHelp>,
) -> Result<ExitCode, CliError> {
    let history = history_path();
    let mut editor = editor(Catalogue::new(commands)).map_err(terminal_error)?;
    if let Some(path) = &history {
        // There is none at the first start.
        let _ = editor.load_history(path);
    }
    if let Err(error) = session.connect().await {
        eprintln!("{error}");
    }
    loop {
        let prompt = if session.is_connected() {
            format!("{}> ", session.address())
        } else {
            "not connected> ".to_owned()
        };
        let (back, line) = read_line(editor, prompt).await;
        editor = back;
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(terminal_error(error)),
        };
        let words = match session::split(line.as_bytes()) {
            Ok(words) => words,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        if !words.is_empty() && !session::is_secret(&words) {
            remember(&mut editor, history.as_ref(), &line);
        }
        match own_command(&words) {
            Some(Own::Leave) => return Ok(ExitCode::SUCCESS),
            Some(Own::Clear) => editor.clear_screen().map_err(terminal_error)?,
            Some(Own::Help(about)) => {
                let catalogue = editor.helper();
                println!(
                    "{}",
                    catalogue.map_or_else(String::new, |all| all.help(&about))
                );
            }
            None if words.is_empty() => {}
            None => carry_out(&mut session, &words, format).await,
        }
    }
}

/// Runs one command until it is answered or given up.
async fn carry_out(session: &mut Session, words: &[Vec<u8>], format: Format) {
    let answered = tokio::select! {
        answered = converse(session, words, format) => answered,
        _ = tokio::signal::ctrl_c() => {
            session.disconnect();
            println!("(given up)");
            session.connect().await.map(|_| ()).map_err(CliError::Node)
        }
    };
    if let Err(error) = answered {
        eprintln!("{error}");
        // Not repeated: whether it was carried out before the connection broke, nobody knows.
        if matches!(
            error,
            CliError::Node(ConnectionError::Closed | ConnectionError::Lost(_))
        ) {
            // A second error would only repeat the first; the prompt shows how it stands.
            let _ = session.connect().await;
        }
    }
}

async fn converse(
    session: &mut Session,
    words: &[Vec<u8>],
    format: Format,
) -> Result<(), CliError> {
    let Some(reply) = session.execute(words).await? else {
        return Ok(());
    };
    if reply.as_error().is_some() {
        println!("{}", format::human(&reply, Shape::Plain));
        return Ok(());
    }
    super::print(&reply, Shape::of(words), format)?;
    if session::is_monitor(words) {
        super::watch(session, format).await?;
    }
    Ok(())
}

/// What the prompt does itself.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    Leave,
    Clear,
    Help(String),
}

fn own_command(words: &[Vec<u8>]) -> Option<Own> {
    let words: Vec<_> = words
        .iter()
        .map(|word| String::from_utf8_lossy(word))
        .collect();
    let (name, rest) = words.split_first()?;
    match name.to_ascii_lowercase().as_str() {
        "quit" | "exit" => Some(Own::Leave),
        "clear" if rest.is_empty() => Some(Own::Clear),
        "help" | "?" => Some(Own::Help(rest.join(" "))),
        _ => None,
    }
}

fn editor(catalogue: Catalogue) -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_space(true)
        .auto_add_history(false)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(catalogue));
    Ok(editor)
}

/// Reads a line on a thread that may block; the editor goes there and comes back.
async fn read_line(
    mut editor: LineEditor,
    prompt: String,
) -> (LineEditor, rustyline::Result<String>) {
    let read = tokio::task::spawn_blocking(move || {
        let line = editor.readline(&prompt);
        (editor, line)
    });
    read.await
        .expect("the line editor does not panic, and nobody cancels it")
}

/// Adds a line to the history and its file at once, so that a crash loses none.
fn remember(editor: &mut LineEditor, path: Option<&PathBuf>, line: &str) {
    let added = editor.add_history_entry(line).unwrap_or(false);
    if let Some(path) = path.filter(|_| added) {
        // A history that cannot be kept is no reason to stop.
        let _ = editor.append_history(path);
    }
}

fn history_path() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".shoalmq_history"))
}

fn terminal_error(error: ReadlineError) -> CliError {
    CliError::Terminal(match error {
        ReadlineError::Io(error) => error,
        error => std::io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(line: &str) -> Option<Own> {
        own_command(&session::split(line.as_bytes()).expect("balanced quotes"))
    }

    #[test]
    fn the_prompt_keeps_a_few_words_to_itself() {
        assert_eq!(own("QUIT"), Some(Own::Leave));
        assert_eq!(own("exit"), Some(Own::Leave));
        assert_eq!(own("clear"), Some(Own::Clear));
        assert_eq!(own("help"), Some(Own::Help(String::new())));
        assert_eq!(
            own("help cluster meet"),
            Some(Own::Help("cluster meet".into()))
        );
        assert_eq!(own("PING"), None);
        assert_eq!(own(""), None);
    }
}
