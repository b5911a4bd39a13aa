#include "docs/lessons/exercises.hpp"

#include <cerrno>

namespace ngx::exercise {

bool stops_accepting(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

bool is_watched(int step)
{
    return step == 0 || step == 3;
}

}  // namespace ngx::exercise
