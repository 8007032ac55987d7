package main

import _ "github.com/yuin/goldmark"

func main() {}
