//! DEBUG: for tests of clients, and of the node itself.

use shoalmq_core::event::Event;

use super::ok;
use crate::command::admin::{Crash, Debug};
use crate::command::{Failure, ServerError};
use crate::server::clients::{Execution, Outcome};
use crate::server::driver::Stop;
use shoalmq_resp::encode;

pub(super) fn run(execution: &mut Execution<'_>, command: &Debug<'_>) -> Outcome {
    let answer = match *command {
        Debug::FlushAll => {
            execution.driver.feed(Event::Flush);
            ok(execution)
        }
        Debug::Sleep(duration) => {
            // The lock is held: the whole node stands still, as it is meant to.
            std::thread::sleep(duration);
            ok(execution)
        }
        Debug::Error(text) => {
            Failure::from(ServerError::Verbatim(text)).encode(execution.out);
            Ok(())
        }
        Debug::LoadLog => match execution.driver.reload_log(execution.shared) {
            Ok(()) => ok(execution),
            Err(reason) => {
                tracing::warn!(reason, "DEBUG LOADAOF");
                Err(ServerError::LogUnreadable.into())
            }
        },
        Debug::Restart(delay) => {
            execution
                .shared
                .stop
                .send_replace(Some(Stop::Restart(delay)));
            return Outcome::Silent;
        }
        Debug::CrashAndRecover(delay) => {
            std::thread::sleep(delay);
            crate::server::process::restart();
            Err(ServerError::CannotShutDown.into())
        }
        Debug::Crash(how) => crash(how),
        Debug::StructSize => {
            let text = shoalmq_core::node::struct_sizes();
            encode::simple(execution.out, text.as_bytes());
            Ok(())
        }
    };
    if let Err(failure) = answer {
        failure.encode(execution.out);
    }
    Outcome::Done
}

fn crash(how: Crash) -> ! {
    match how {
        Crash::Segfault => {
            let me = rustix::process::getpid();
            if let Err(error) = rustix::process::kill_process(me, rustix::process::Signal::SEGV) {
                tracing::error!(%error, "DEBUG SEGFAULT");
            }
            std::process::abort()
        }
        Crash::OutOfMemory => {
            tracing::error!("DEBUG OOM: out of memory");
            std::process::abort()
        }
        Crash::Assert => panic!("DEBUG ASSERT"),
    }
}
