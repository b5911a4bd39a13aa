#include "tools/inspect/provision.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace ngx::inspect {

namespace {

struct Option {
    std::string_view module;
    std::string_view option;
};

constexpr std::array options = {
    Option{"ngx_google_perftools_module", "--with-google_perftools_module"},
    Option{"ngx_http_addition_filter_module", "--with-http_addition_module"},
    Option{"ngx_http_auth_request_module", "--with-http_auth_request_module"},
    Option{"ngx_http_dav_module", "--with-http_dav_module"},
    Option{"ngx_http_degradation_module", "--with-http_degradation_module"},
    Option{"ngx_http_flv_module", "--with-http_flv_module"},
    Option{"ngx_http_geoip_module", "--with-http_geoip_module"},
    Option{"ngx_http_gunzip_filter_module", "--with-http_gunzip_module"},
    Option{"ngx_http_gzip_static_module", "--with-http_gzip_static_module"},
    Option{"ngx_http_image_filter_module", "--with-http_image_filter_module"},
    Option{"ngx_http_mp4_module", "--with-http_mp4_module"},
    Option{"ngx_http_perl_module", "--with-http_perl_module"},
    Option{"ngx_http_random_index_module", "--with-http_random_index_module"},
    Option{"ngx_http_realip_module", "--with-http_realip_module"},
    Option{"ngx_http_secure_link_module", "--with-http_secure_link_module"},
    Option{"ngx_http_slice_filter_module", "--with-http_slice_module"},
    Option{"ngx_http_ssl_module", "--with-http_ssl_module"},
    Option{"ngx_http_stub_status_module", "--with-http_stub_status_module"},
    Option{"ngx_http_sub_filter_module", "--with-http_sub_module"},
    Option{"ngx_http_v2_module", "--with-http_v2_module"},
    Option{"ngx_http_v3_module", "--with-http_v3_module"},
    Option{"ngx_http_xslt_filter_module", "--with-http_xslt_module"},
    Option{"ngx_mail_ssl_module", "--with-mail --with-mail_ssl_module"},
    Option{"ngx_quic_bpf_module", "--with-http_v3_module"},
    Option{"ngx_stream_geoip_module", "--with-stream --with-stream_geoip_module"},
    Option{"ngx_stream_realip_module", "--with-stream --with-stream_realip_module"},
    Option{"ngx_stream_ssl_module", "--with-stream --with-stream_ssl_module"},
    Option{"ngx_stream_ssl_preread_module", "--with-stream --with-stream_ssl_preread_module"},
    Option{"ngx_thread_pool_module", "--with-threads"},
};

/// The modules that a file of another name has.
constexpr std::pair<std::string_view, std::string_view> files[] = {
    {"ngx_http_js_module", "ngx_http_js_core_module"},
    {"ngx_http_lua_module", "ngx_http_lua_fake_shm_module"},
    {"ngx_http_vod_module", "ngx_http_vod_commands"},
    {"ngx_stream_js_module", "ngx_stream_js_core_module"},
};

/// Returns "ngx_http_lua_module" of "modules/ngx_http_lua_module.so".
std::string_view stem_of(std::string_view file)
{
    file.remove_prefix(file.rfind('/') == std::string_view::npos ? 0 : file.rfind('/') + 1);
    return file.ends_with(".so") ? file.substr(0, file.size() - 3) : file;
}

}  // namespace

std::string_view build_option(const DirectiveRow& row)
{
    const auto* const found = std::ranges::find(options, row.module, &Option::module);
    if (found != options.end()) {
        return found->option;
    }
    if (row.module.starts_with("ngx_mail_")) {
        return "--with-mail";
    }
    return row.module.starts_with("ngx_stream_") ? "--with-stream" : "";
}

bool file_gives(std::string_view file, const DirectiveRow& row)
{
    const std::string_view stem = stem_of(file);
    if (stem == row.module ||
        std::ranges::find(files, std::pair(stem, row.module)) != std::end(files)) {
        return true;
    }
    if (stem == "ngx_rtmp_module") {
        return row.package == "rtmp";
    }
    // The module of geoip has a separate file.
    const bool has_own_file = row.module == "ngx_stream_geoip_module";
    return is_server_package(row.package) && !has_own_file &&
           ((stem == "ngx_stream_module" && row.module.starts_with("ngx_stream_")) ||
            (stem == "ngx_mail_module" && row.module.starts_with("ngx_mail_")));
}

bool is_server_package(std::string_view package)
{
    return package == "nginx" || package == "angie" || package == "tengine";
}

}  // namespace ngx::inspect
