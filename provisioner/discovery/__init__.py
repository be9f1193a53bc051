"""From what a provider discovers to manifests: names, references, remarks, texts and files."""
