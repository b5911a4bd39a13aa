#include "test/process/nginx.hpp"

namespace ngx::test::process {

Nginx::Nginx(const std::string& stream)
{
    const ServerConf conf{.stream = stream, .method = "epoll"};
    write_file(dir_ / "nginx.conf",
               "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n" + conf.text());
    child_.emplace(std::vector<std::string>{"/usr/sbin/nginx", "-p", dir_.path().string() + "/",
                                            "-e", "error.log", "-c", dir_ / "nginx.conf"});
    // nginx writes the pid when the listeners are open.
    wait_for_text(dir_ / conf.pid_file, "\n", patience(), 1, &*child_);
}

void Nginx::wait_for_log(std::string_view text, std::size_t times)
{
    wait_for_text(dir_ / "error.log", text, patience(), times, &*child_);
}

}  // namespace ngx::test::process
