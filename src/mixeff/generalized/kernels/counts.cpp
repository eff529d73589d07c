#include "row_pass.hpp"

namespace mixeff::rows {

Pass poisson_pass(const char *link) {
    static const Named list[] = {
        {"log", pass_at<Poisson<Log>>},
        {"sqrt", pass_at<Poisson<Sqrt>>},
        {"identity", pass_at<Poisson<Identity>>},
    };
    return find(list, link);
}

Pass negative_binomial_pass(const char *link) {
    static const Named list[] = {
        {"log", pass_at<NegativeBinomial<Log>>},
        {"sqrt", pass_at<NegativeBinomial<Sqrt>>},
        {"identity", pass_at<NegativeBinomial<Identity>>},
    };
    return find(list, link);
}

Pass negative_binomial1_pass(const char *link) {
    static const Named list[] = {
        {"log", pass_at<NegativeBinomial1<Log>>},
        {"sqrt", pass_at<NegativeBinomial1<Sqrt>>},
        {"identity", pass_at<NegativeBinomial1<Identity>>},
    };
    return find(list, link);
}

}  // namespace mixeff::rows
