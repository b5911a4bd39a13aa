#include "os/unix/process_state.hpp"

namespace ngx {

Process process = Process::single;
pid_t pid;
pid_t parent;

volatile std::sig_atomic_t reap;
volatile std::sig_atomic_t sigio;
volatile std::sig_atomic_t sigalrm;
volatile std::sig_atomic_t terminate;
volatile std::sig_atomic_t quit;
volatile std::sig_atomic_t debug_quit;
volatile std::sig_atomic_t reconfigure;
volatile std::sig_atomic_t reopen;
volatile std::sig_atomic_t change_binary;
volatile std::sig_atomic_t noaccept;

bool exiting;
bool inherited;
bool daemonized;
bool noaccepting;
pid_t new_binary;
std::size_t ngx_worker;

}  // namespace ngx
