//! A new process of this program that is handed descriptors as a service manager would do it
//! (`LISTEN_FDS`, sd_listen_fds(3)).

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Variables that speak of this process and not of the next one.
const OWN_VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// How this process was started.
#[derive(Debug, Clone)]
pub struct Program {
    /// What was executed. It is a path and no file: whatever is there when it is executed again is
    /// what runs then.
    pub path: PathBuf,
    /// All arguments, the name of the program among them.
    arguments: Vec<OsString>,
}

impl Program {
    /// That of this process; to be asked before its file is replaced.
    ///
    /// # Errors
    /// The system does not say which program this is.
    pub fn of_this_process() -> io::Result<Program> {
        let executed = std::env::current_exe()?;
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let search = std::env::var_os("PATH").unwrap_or_default();
        let named = arguments.first().and_then(|name| find(name, &search));
        // By the name that was typed, since a symbolic link of that name may lead elsewhere by
        // then; but whoever starts a program may call it anything.
        let path = named.filter(|path| is_same_file(path, &executed)).unwrap_or(executed);
        Ok(Program { path, arguments })
    }

    /// A command that runs it once more in this environment and hands `descriptors` over under
    /// their names, in which there is no colon.
    ///
    /// # Errors
    /// No descriptors are left, or an argument or a variable holds a zero byte, which the system
    /// does not let happen.
    pub fn command(&self, descriptors: &[(String, BorrowedFd<'_>)]) -> io::Result<Command> {
        let count = RawFd::try_from(descriptors.len()).map_err(io::Error::other)?;
        let end = FIRST + count;
        let copies: Vec<OwnedFd> =
            descriptors.iter().map(|(_, it)| duplicate(*it, end)).collect::<io::Result<_>>()?;
        let names: Vec<&str> = descriptors.iter().map(|(name, _)| &**name).collect();
        let mut image = Image::new(self, &names)?;
        let fillers = fill_up_to(&copies, end)?;
        let mut command = Command::new(&self.path);
        let run = move || {
            let _kept_until_the_command_is_dropped = &fillers;
            for (copy, place) in copies.iter().zip(FIRST..) {
                // SAFETY: dup2 takes two numbers, and may be called between fork and exec
                // (signal-safety(7)). The new descriptor is not closed on exec.
                if unsafe { libc::dup2(copy.as_raw_fd(), place) } < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Err(image.execute())
        };
        // SAFETY: what runs between fork and exec are dup2, getpid and execve, which may be called
        // there, and writes into memory that was allocated before.
        unsafe { command.pre_exec(run) };
        Ok(command)
    }
}

/// The file that a shell would run for `name`.
fn find(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return std::path::absolute(name).ok();
    }
    std::env::split_paths(search).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// A copy from the number `least` on, which is closed on exec.
fn duplicate(descriptor: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes a number, and the descriptor is open as long as it is borrowed.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl has just returned this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Takes every number below `end` that is free: the pipe through which [`Command`] hears of a
/// failure must not lie where the child puts its sockets.
fn fill_up_to(copies: &[OwnedFd], end: RawFd) -> io::Result<Vec<OwnedFd>> {
    use std::os::fd::AsFd;
    let mut fillers = Vec::new();
    let Some(any) = copies.first() else { return Ok(fillers) };
    for _ in FIRST..end {
        let filler = duplicate(any.as_fd(), FIRST)?;
        if filler.as_raw_fd() >= end {
            break;
        }
        fillers.push(filler);
    }
    Ok(fillers)
}

/// What execve takes, allocated before the fork.
struct Image {
    path: CString,
    /// `LISTEN_PID=` and room for the number, which is known only after the fork.
    listen_pid: [u8; LISTEN_PID_BYTES],
    /// Ends with null, and points into `_strings`.
    arguments: Vec<*const libc::c_char>,
    /// Ends with null, and points into `_strings`; the first is that of `listen_pid`.
    environment: Vec<*const libc::c_char>,
    _strings: [Vec<CString>; 2],
}

const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// With ten digits of a number of 32 bits and a zero byte.
const LISTEN_PID_BYTES: usize = LISTEN_PID.len() + 11;

// SAFETY: the pointers lead to memory that the value owns and that stays where it is when the
// value is moved; nobody else writes to it.
unsafe impl Send for Image {}
// SAFETY: likewise; what writes takes `&mut self`.
unsafe impl Sync for Image {}

impl Image {
    fn new(program: &Program, names: &[&str]) -> io::Result<Image> {
        let arguments: Vec<CString> = program
            .arguments
            .iter()
            .map(|it| Ok(CString::new(it.as_bytes())?))
            .collect::<io::Result<_>>()?;
        let is_own = |name: &OsStr| OWN_VARIABLES.iter().any(|own| name == *own);
        let mut environment: Vec<CString> = std::env::vars_os()
            .filter(|(name, _)| !is_own(name))
            .map(|(name, value)| {
                let mut variable = name.into_vec();
                variable.push(b'=');
                variable.extend(value.into_vec());
                Ok(CString::new(variable)?)
            })
            .collect::<io::Result<_>>()?;
        environment.push(CString::new(format!("LISTEN_FDS={}", names.len()))?);
        environment.push(CString::new(format!("LISTEN_FDNAMES={}", names.join(":")))?);
        let mut listen_pid = [0; LISTEN_PID_BYTES];
        listen_pid[..LISTEN_PID.len()].copy_from_slice(LISTEN_PID);
        let pointers = |strings: &[CString]| strings.iter().map(|it| it.as_ptr()).collect();
        let mut argument_pointers: Vec<_> = pointers(&arguments);
        argument_pointers.push(std::ptr::null());
        let mut environment_pointers: Vec<_> = pointers(&environment);
        environment_pointers.insert(0, std::ptr::null());
        environment_pointers.push(std::ptr::null());
        Ok(Image {
            path: CString::new(program.path.as_os_str().as_bytes())?,
            listen_pid,
            arguments: argument_pointers,
            environment: environment_pointers,
            _strings: [arguments, environment],
        })
    }

    /// Becomes the program. Returns only if that fails; allocates nothing.
    fn execute(&mut self) -> io::Error {
        // SAFETY: getpid has no conditions.
        let pid = unsafe { libc::getpid() };
        if let Err(error) = write!(&mut self.listen_pid[LISTEN_PID.len()..], "{pid}\0") {
            return error;
        }
        self.environment[0] = self.listen_pid.as_ptr().cast();
        // SAFETY: the path is a C string, and both arrays end with null and hold pointers to C
        // strings that `self` owns.
        unsafe {
            libc::execve(self.path.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr())
        };
        io::Error::last_os_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    fn program(path: &str, script: &str) -> Program {
        let arguments = [path, "-c", script].map(OsString::from).to_vec();
        Program { path: path.into(), arguments }
    }

    #[test]
    fn descriptors_and_variables_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let sockets: Vec<UnixListener> = ["a", "b", "c"]
            .iter()
            .map(|it| UnixListener::bind(folder.path().join(it)).unwrap())
            .collect();
        let descriptors: Vec<(String, BorrowedFd<'_>)> = sockets
            .iter()
            .enumerate()
            .map(|(index, it)| (format!("s{index}"), it.as_fd()))
            .collect();
        let script = "echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; readlink /proc/self/fd/3 /proc/self/fd/4 /proc/self/fd/5";
        let output = program("/bin/sh", script).command(&descriptors).unwrap().output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut lines = printed.lines();
        let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert_eq!(words[0], words[1], "{printed}");
        assert_eq!(words[2..], ["3", "s0:s1:s2"]);
        let links: Vec<String> = lines.map(str::to_owned).collect();
        let own = |it: &UnixListener| {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", it.as_raw_fd())).unwrap();
            link.into_os_string().into_string().unwrap()
        };
        assert_eq!(links, sockets.iter().map(own).collect::<Vec<_>>());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let descriptors = [("link".to_owned(), one.as_fd())];
        let started = program("/nowhere/at/all", "").command(&descriptors).unwrap().spawn();
        assert_eq!(started.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn this_process_knows_its_program() {
        let program = Program::of_this_process().unwrap();
        assert!(is_same_file(&program.path, &std::env::current_exe().unwrap()));
    }

    #[test]
    fn names_are_found_as_a_shell_finds_them() {
        let search = OsStr::new("/nowhere:/bin:/usr/bin");
        assert!(find(OsStr::new("sh"), search).is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find(OsStr::new("no-such-program"), search), None);
        assert_eq!(find(OsStr::new("/a/b"), search), Some("/a/b".into()));
    }
}
