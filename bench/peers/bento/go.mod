module graphwriter/bench/bento

go 1.26.6

require github.com/warpstreamlabs/bento v1.20.0
