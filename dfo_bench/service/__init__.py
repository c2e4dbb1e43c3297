"""The language-model objective behind HTTP: a language model as a service, asked for the outputs of prompts."""
