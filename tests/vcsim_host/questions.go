package main

import (
	"fmt"
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// ask answers with a task that runs until the question that its machine asks (the rule's, answered
// with yes or no) has an answer, and only then does what was asked for; with a no, nothing.
func ask(h *host, is *rule, seen *call, _ http.Handler) http.Handler {
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		machine, ok := h.context().Map.Get(method.This).(*simulator.VirtualMachine)
		if !ok {
			return fmt.Errorf("%s is no machine", method.This)
		}
		h.setQuestion(machine, &types.VirtualMachineQuestionInfo{
			Id:      task.Self.Value,
			Text:    is.Question + ": the guest\nis in the way. Go on?",
			Message: []types.VirtualMachineMessage{{Id: is.Question}},
			Choice: types.ChoiceOption{
				OptionType: types.OptionType{ValueIsReadonly: types.NewBool(false)},
				ChoiceInfo: []types.BaseElementDescription{
					choice("0", "Yes"), choice("1", "No"),
				},
			},
		})
		h.mutex.Lock()
		defer h.mutex.Unlock()
		h.held = append(h.held, &held{task, method})
		return nil
	})
}

func choice(key, label string) *types.ElementDescription {
	return &types.ElementDescription{
		Description: types.Description{Label: label, Summary: label}, Key: key,
	}
}

func (h *host) setQuestion(
	machine *simulator.VirtualMachine, question *types.VirtualMachineQuestionInfo,
) {
	own := h.context()
	own.Map.WithLock(own, machine, func() { machine.Runtime.Question = question })
}

// completeQuestions takes answers (VirtualMachine.AnswerVM of the vSphere Web Services API), which
// the simulator cannot.
func (h *host) completeQuestions(seen *call, next http.Handler) http.Handler {
	if seen.name != "AnswerVM" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		request := method.Body.(*types.AnswerVM)
		machine, ok := h.context().Map.Get(method.This).(*simulator.VirtualMachine)
		asking := h.takeHeld(request.QuestionId)
		if !ok || asking == nil {
			answerWithFault(w, &types.InvalidArgument{InvalidProperty: "questionId"}, "as it is gone")
			return
		}
		h.setQuestion(machine, nil)
		var result any
		var raised types.BaseMethodFault = &types.GenericVmConfigFault{Reason: "the answer was no"}
		if request.AnswerChoice == "0" {
			result, raised = h.invoke(asking.method)
		}
		h.finish(asking.task, result, raised)
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, `<AnswerVMResponse xmlns="urn:vim25"></AnswerVMResponse>`)
	})
}

// takeHeld is the held task with this id, which is held no longer.
func (h *host) takeHeld(id string) *held {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for i, each := range h.held {
		if each.task.Self.Value == id {
			h.held = append(h.held[:i:i], h.held[i+1:]...)
			return each
		}
	}
	return nil
}
