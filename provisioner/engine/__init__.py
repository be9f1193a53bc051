"""Graph, observation, difference, plan and apply; knows no hypervisor."""
