#include "core/nginx.hpp"

int main(int argc, char** argv)
{
    return ngx::main(argc, argv);
}
