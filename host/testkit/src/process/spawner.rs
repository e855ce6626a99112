//! Starts children from one thread that lives as long as we do.
//!
//! The kernel's parent-death signal is sent when the *thread* that forked ends, not the process. A child started from a
//! pool thread would be killed when the pool shrinks; one started from here dies exactly when we do.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

struct Order {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// Starts `command` in a process group of its own, to be killed by the kernel if we die.
pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
    die_with(&mut command, getpid());
    command.process_group(0);
    let (reply, answer) = mpsc::channel();
    orders()?.send(Order { command, reply }).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn orders() -> io::Result<&'static mpsc::Sender<Order>> {
    static ORDERS: OnceLock<Option<mpsc::Sender<Order>>> = OnceLock::new();
    ORDERS.get_or_init(|| start().ok()).as_ref().ok_or_else(gone)
}

fn start() -> io::Result<mpsc::Sender<Order>> {
    let (orders, incoming) = mpsc::channel::<Order>();
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for mut order in incoming {
            // A caller that is gone drops the child's handle; the child still dies with us.
            order.reply.send(order.command.spawn()).ok();
        }
    })?;
    Ok(orders)
}

#[allow(unsafe_code, reason = "pre_exec runs between fork and exec: only the two system calls below are made there")]
fn die_with(command: &mut Command, parent: Pid) {
    let ask = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // We may have died between the fork and the line above.
        if getppid() == parent { Ok(()) } else { Err(io::Error::other("the parent is gone")) }
    };
    unsafe {
        command.pre_exec(ask);
    }
}

fn gone() -> io::Error {
    io::Error::other("the spawner thread is not running")
}
