"""Dataset-driven runs in trtllm-bench's words: on a runtime in this process, on a server, or by trtllm-bench itself."""
